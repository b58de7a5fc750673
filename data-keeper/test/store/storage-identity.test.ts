/** Data directories: formatting that survives a crash, and strangers that are left alone. */
import { describe, expect, it } from '@jest/globals';
import { makeDataDirectory } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { StorageHealth } from '../../src/store/disk-error.js';
import { StorageIdentity } from '../../src/store/storage-identity.js';
import { ForgetfulFileSystem, type Operation } from '../support/forgetful-file-system.js';

const authority = { clusterId: 'a'.repeat(32), epoch: 3, instanceId: 'b'.repeat(32), transactionId: 9 };

/** As a start does. */
async function open(
  files: ForgetfulFileSystem,
  dataDir = '/data',
  health = new StorageHealth(),
): Promise<StorageIdentity> {
  await makeDataDirectory(files, dataDir);
  return StorageIdentity.open(files, dataDir, systemRandom, health);
}

describe('a data directory', () => {
  it('is formatted once, and keeps who it is over crashes', async () => {
    const files = new ForgetfulFileSystem();
    const first = await open(files, '/deep/down/data');
    files.crash();
    const second = await open(files, '/deep/down/data');
    expect(second.keeperId).toBe(first.keeperId);
    expect(second.storageId).toBe(first.storageId);
    expect(first.incarnation).toBeGreaterThan(0);
    expect(second.incarnation).toBeGreaterThan(first.incarnation);
  });

  it('is told apart from a copy of it, once both were opened', async () => {
    const files = new ForgetfulFileSystem();
    await open(files);
    for (const name of ['IDENTITY', 'STATE'])
      files.put(`/copy-${name}`, await files.readFile(`/data/${name}`));
    const original = await open(files);
    for (const name of ['IDENTITY', 'STATE'])
      files.put(`/data/${name}`, await files.readFile(`/copy-${name}`));
    const copy = await open(files);
    expect(copy.storageId).toBe(original.storageId);
    expect(copy.incarnation).not.toBe(original.incarnation);
  });

  it('can be formatted again after a crash at any step of the formatting', async () => {
    let completed = false;
    for (let step = 1; !completed; step += step < 12 || step > 270 ? 1 : 37) {
      for (const survives of [() => false, () => true]) {
        const files = new ForgetfulFileSystem();
        files.losePowerAt(step);
        completed = await open(files).then(
          () => true,
          () => false,
        );
        files.crash(survives);
        expect((await open(files)).incarnation).toBeGreaterThanOrEqual(1);
      }
      expect(step).toBeLessThan(500);
    }
  });

  it('keeps who it is over a power cut, also after a start that ended at any step of the formatting', async () => {
    const dataDir = '/deep/down/data';
    let completed = false;
    for (let step = 1; !completed; step += step < 16 || step > 230 ? 1 : 37) {
      const files = new ForgetfulFileSystem();
      // Only the process ends: the kernel has all that it did.
      files.losePowerAt(step);
      completed = await open(files, dataDir).then(
        () => true,
        () => false,
      );
      files.intercept = () => undefined;
      const { keeperId } = await open(files, dataDir);
      files.crash();
      expect({ step, keeperId: (await open(files, dataDir)).keeperId }).toEqual({ step, keeperId });
      expect(await files.readDirectory(`${dataDir}/chunks`)).toHaveLength(256);
      expect(step).toBeLessThan(500);
    }
  });

  it('can be formatted when two starts had ended in it before the power went', async () => {
    const beginning = Array.from({ length: 12 }, (_, step) => step + 1);
    const end = Array.from({ length: 25 }, (_, step) => step + 262);
    for (const first of [...beginning, ...end]) {
      for (const second of beginning) {
        // Of what was not synced one thing is lost, and the rest is there.
        let unsynced = 4;
        for (let lost = 0; lost < unsynced; lost += 1) {
          const files = new ForgetfulFileSystem();
          for (const step of [first, second]) {
            files.losePowerAt(step);
            await open(files).catch(() => undefined);
          }
          let seen = 0;
          files.crash(() => seen++ !== lost);
          const again = open(files).then(
            () => 'formatted',
            (error: unknown) => String(error),
          );
          expect({ first, second, lost, again: await again }).toMatchObject({ again: 'formatted' });
          unsynced = Math.min(unsynced, seen);
        }
      }
    }
  });

  it('remembers its cluster and the authority that it has witnessed', async () => {
    const files = new ForgetfulFileSystem();
    const identity = await open(files);
    await identity.join(authority.clusterId);
    await identity.witness(authority);
    files.crash();
    const again = await open(files);
    expect(again.clusterId).toBe(authority.clusterId);
    expect(again.witnessed).toEqual(authority);
    await expect(again.join('d'.repeat(32))).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it.each<[Operation, string, number]>([
    ['syncData', 'EIO', 1],
    ['syncDirectory', 'ENOSPC', 1],
  ])('whose %s fails with %s for STATE is not written any more', async (operation, code, n) => {
    const files = new ForgetfulFileSystem();
    const health = new StorageHealth();
    const identity = await open(files, '/data', health);
    files.failAt(operation, n, code);
    await expect(identity.witness(authority)).rejects.toMatchObject({ code: 'DISK_FAILED' });
    expect(health.failure).toMatchObject({ code: 'DISK_FAILED' });
    expect(identity.witnessed).toBeUndefined();
  });

  it('that lost its IDENTITY is never formatted again, not even if the formatting was cut at its end', async () => {
    const files = new ForgetfulFileSystem();
    await open(files);
    files.put('/data/FORMATTING', Buffer.alloc(0));
    await open(files);
    await files.unlink('/data/IDENTITY');
    await expect(open(files)).rejects.toMatchObject({ code: 'DATA_DIR_INVALID' });
  });

  it('may hold a lock and lost+found when it is new', async () => {
    const files = new ForgetfulFileSystem();
    await files.makeDirectory('/data');
    await files.makeDirectory('/data/lost+found');
    files.put('/data/LOCK', Buffer.from('pid'));
    expect((await open(files)).incarnation).toBeGreaterThan(0);
  });

  it.each<[string, (files: ForgetfulFileSystem) => Promise<void> | void]>([
    ['holds something else', (files) => files.unlink('/data/IDENTITY')],
    ['has a damaged IDENTITY', (files) => flip(files, '/data/IDENTITY')],
    ['has a damaged STATE', (files) => flip(files, '/data/STATE')],
    ['has no STATE', (files) => files.unlink('/data/STATE')],
    ['has an empty IDENTITY', (files) => files.put('/data/IDENTITY', Buffer.alloc(0))],
    ['has lost its chunks', (files) => files.rename('/data/chunks', '/elsewhere')],
    [
      'has nothing in chunks/, as a mount point without its disk',
      async (files) => {
        await files.rename('/data/chunks', '/elsewhere');
        await files.makeDirectory('/data/chunks');
      },
    ],
    ['is of a newer format', (files) => rewrite(files, '/data/IDENTITY', { formatVersion: 2 })],
    ['has an impossible keeper id', (files) => rewrite(files, '/data/IDENTITY', { keeperId: 'me' })],
  ])('that %s is refused, with a remedy, and not touched', async (_what, spoil) => {
    const files = new ForgetfulFileSystem();
    await open(files);
    await spoil(files);
    const before = files.paths().map((path) => [path, files.contentOf(path).toString('hex')]);
    await expect(open(files)).rejects.toMatchObject({
      code: 'DATA_DIR_INVALID',
      remedy: expect.stringContaining('--data-dir'),
    });
    expect(files.paths().map((path) => [path, files.contentOf(path).toString('hex')])).toEqual(before);
  });
});

function flip(files: ForgetfulFileSystem, path: string): void {
  const content = files.contentOf(path);
  const at = content.indexOf(':') + 2;
  content[at] = (content[at] ?? 0) ^ 1;
}

/** Changes fields of a record and makes its checksum right again. */
async function rewrite(files: ForgetfulFileSystem, path: string, change: object): Promise<void> {
  const { crc32 } = await import('node:zlib');
  const { crc32: _old, ...record } = JSON.parse(files.contentOf(path).toString()) as Record<string, unknown>;
  const changed = { ...record, ...change };
  files.put(path, Buffer.from(JSON.stringify({ ...changed, crc32: crc32(JSON.stringify(changed)) })));
}
