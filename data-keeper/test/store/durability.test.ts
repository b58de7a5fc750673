/**
 * What a crash leaves, at every step of the write path, on a file system that forgets what was not synced: nothing
 * or a whole verified piece; and after the commit has resolved, always the piece.
 */
import { describe, expect, it } from '@jest/globals';
import { limits } from '@holdfast/shared';
import type { PieceSpec } from '../../src/store/piece.js';
import { bytesOf, until } from '../support/fixtures.js';
import { ForgetfulFileSystem, type Operation } from '../support/forgetful-file-system.js';
import { ManualClock } from '../support/manual-clock.js';
import { load, openStore, runsOf, specOf, store } from '../support/store-fixture.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000_000);

/** Park and Miller's generator: coins to decide what survives. */
function coins(start: number): () => boolean {
  let state = (start % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state % 2 === 0;
  };
}

/** Opens the store after a crash and says whether it has the piece; a piece that is there must be right. */
async function hasPiece(files: ForgetfulFileSystem, spec: PieceSpec, data: Buffer): Promise<boolean> {
  const chunks = await openStore(files, '/data');
  expect(files.paths().filter((path) => path.startsWith('/data/tmp/'))).toEqual([]);
  if ((await chunks.stat(spec).catch(() => undefined)) === undefined) return false;
  expect((await load(chunks, spec)).equals(data)).toBe(true);
  return true;
}

describe.each([
  ['one message', 1, bytesOf(20_000)],
  ['several messages', 4, bytesOf(limits.messageDataBytes + 20_000)],
])('a piece of %s, which is written with %i', (_shape, writes, data) => {
  describe(`a crash in the write path (seed ${seed})`, () => {
    it.each([
      ['forgets all that was not synced', () => () => false],
      ['keeps some of it', (step: number) => coins(seed + step)],
      ['keeps some of it, otherwise', (step: number) => coins(seed + 7_919 * (step + 1))],
    ])('leaves nothing or the whole piece at every step, where it %s', async (_what, survivors) => {
      let completed = false;
      for (let step = 1; !completed; step += 1) {
        const files = new ForgetfulFileSystem();
        const chunks = await openStore(files, '/data');
        const spec = specOf(data);
        files.losePowerAt(step);
        completed = await store(chunks, spec, data).then(
          () => true,
          () => false,
        );
        files.crash(survivors(step));
        const found = await hasPiece(files, spec, data);
        // After the receipt always; before it a piece may be there, if it is whole.
        if (completed) expect(found).toBe(true);
        expect(step).toBeLessThan(50);
      }
    });

    it('cannot lose a piece whose commit has resolved', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const spec = specOf(data);
      await store(chunks, spec, data);
      files.crash();
      expect(await hasPiece(files, spec, data)).toBe(true);
    });

    it.each<[Operation, string]>([
      ['syncData', 'the data'],
      ['syncDirectory', 'the name'],
    ])('would lose it without %s of %s (so the test can tell)', async (operation) => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const spec = specOf(data);
      const real = files.syncDirectory.bind(files);
      if (operation === 'syncDirectory') files.syncDirectory = () => Promise.resolve();
      else {
        const open = files.open.bind(files);
        files.open = async (...args) => ({ ...(await open(...args)), syncData: () => Promise.resolve() });
      }
      await store(chunks, spec, data);
      files.syncDirectory = real;
      files.crash();
      expect(await hasPiece(files, spec, data)).toBe(false);
    });

    it('counts a piece as stored only once its name is on stable storage', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const spec = specOf(data);
      const syncs: (() => void)[] = [];
      const syncDirectory = files.syncDirectory.bind(files);
      files.syncDirectory = async (path) => {
        await new Promise<void>((resolve) => syncs.push(resolve));
        return syncDirectory(path);
      };
      const path = `/data/chunks/${spec.chunkId.slice(0, 2)}/${spec.chunkId}.0`;
      const stored = store(chunks, spec, data);
      // The name appears before its sync begins; only a sync that has begun can be held.
      await until(() => files.paths().includes(path) && syncs.length === 1);
      expect(await chunks.stat(spec)).toBeUndefined();
      await expect(chunks.open(spec)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      syncs[0]?.();
      await stored;
      expect(await chunks.stat(spec)).toMatchObject({ chunkId: spec.chunkId });
    });

    it('leaves nothing that the next start could take for a piece after a failed directory sync', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const spec = specOf(data);
      files.failAt('syncDirectory', 1, 'EIO');
      await expect(store(chunks, spec, data)).rejects.toMatchObject({ code: 'DISK_FAILED' });
      files.intercept = () => undefined;
      expect(await hasPiece(files, spec, data)).toBe(false);
    });

    it('makes durable what an ended start had only renamed, before it counts as stored', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const spec = specOf(data);
      // The process ends after the rename: nothing more reaches the disk, but the machine runs on.
      let renamed = false;
      files.intercept = (operation) => {
        if (renamed) throw Object.assign(new Error('EIO: killed'), { code: 'EIO' });
        renamed = operation === 'rename';
      };
      await expect(store(chunks, spec, data)).rejects.toMatchObject({ code: 'DISK_FAILED' });
      files.intercept = () => undefined;
      expect(await hasPiece(files, spec, data)).toBe(true);
      files.crash();
      expect(await hasPiece(files, spec, data)).toBe(true);
    });

    it('leaves trashed pieces in one of the two places at every step', async () => {
      let completed = false;
      for (let step = 1; !completed; step += 1) {
        const files = new ForgetfulFileSystem();
        const chunks = await openStore(files, '/data');
        const spec = specOf(data);
        await store(chunks, spec, data);
        files.losePowerAt(step);
        completed = await chunks.trash([spec.chunkId]).then(
          () => true,
          () => false,
        );
        files.crash();
        const left = files.paths().filter((path) => path.endsWith(`/${spec.chunkId}.0`));
        expect(left.length).toBeGreaterThanOrEqual(1);
        if (completed) expect(left).toEqual([`/data/trash/${spec.chunkId}.0`]);
        expect(step).toBeLessThan(20);
      }
    });
  });

  describe('a disk that fails', () => {
    it.each<[Operation, string]>([
      ['syncData', 'EIO'],
      ['syncDirectory', 'EIO'],
      ['syncDirectory', 'ENOSPC'],
      ['rename', 'EIO'],
      ['write', 'EIO'],
    ])('in %s with %s takes no more pieces and is never asked again', async (operation, code) => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const good = specOf(data);
      await store(chunks, good, data);
      files.failAt(operation, 1, code);
      const callsBefore = files.calls[operation] ?? 0;
      await expect(store(chunks, specOf(data), data)).rejects.toMatchObject({ code: 'DISK_FAILED' });
      expect(files.calls[operation]).toBe(callsBefore + 1);
      expect(chunks.failure).toMatchObject({ code: 'DISK_FAILED' });
      await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'DISK_FAILED' });
      expect((await load(chunks, good)).equals(data)).toBe(true);
      expect(files.openFiles).toBe(0);
    });

    it('in a directory sync gives no receipt to those who wait for the next one either', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const specs = [0, 1].map((n) => specOf(data, { chunkId: `ab${String(n).repeat(30)}` }));
      const syncs: { end(): void; fail(error: Error): void }[] = [];
      files.syncDirectory = () =>
        new Promise((resolve, reject) => syncs.push({ end: resolve, fail: reject }));
      const outcomes = specs.map((spec) =>
        store(chunks, spec, data).then(
          () => 'stored',
          () => 'refused',
        ),
      );
      // Both are renamed; the first sync fails, and the one that began after it "succeeds", as kernels do.
      await until(() => files.calls.rename === 4 + specs.length && syncs.length === 1);
      syncs[0]?.fail(Object.assign(new Error('EIO'), { code: 'EIO' }));
      await until(() => syncs.length === 2);
      syncs[1]?.end();
      expect(await Promise.all(outcomes)).toEqual(['refused', 'refused']);
      for (const spec of specs) expect(await chunks.stat(spec)).toBeUndefined();
    });

    it('for want of open files gives no receipt, leaves nothing and goes on', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const spec = specOf(data);
      files.failAt('syncDirectory', 1, 'EMFILE');
      await expect(store(chunks, spec, data)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
      expect(chunks.failure).toBeUndefined();
      expect(await chunks.stat(spec)).toBeUndefined();
      await store(chunks, spec, data);
      expect((await load(chunks, spec)).equals(data)).toBe(true);
    });

    it('that is merely full refuses the piece, removes it and goes on', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      let refused = 0;
      for (let stored = false; !stored;) {
        files.failAt('write', refused + 1, 'ENOSPC');
        const outcome = store(chunks, specOf(data), data);
        stored = await outcome.then(
          () => true,
          () => false,
        );
        if (stored) break;
        await expect(outcome).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
        expect(files.paths().filter((path) => path.startsWith('/data/tmp/'))).toEqual([]);
        refused += 1;
        await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
        files.intercept = () => undefined;
        expect((await chunks.capacity()).freeBytes).toBeGreaterThan(0);
      }
      expect(refused).toBe(writes);
      expect(chunks.failure).toBeUndefined();
      expect(files.openFiles).toBe(0);
    });

    it.each<[Operation, string]>([
      ['syncData', 'ENOSPC'],
      ['syncData', 'EDQUOT'],
      ['write', 'EDQUOT'],
    ])('for want of room, in %s with %s, takes pieces again when there is some', async (operation, code) => {
      const files = new ForgetfulFileSystem();
      const clock = new ManualClock();
      const chunks = await openStore(files, '/data', { clock });
      const [good, doomed, refused] = [specOf(data), specOf(data), specOf(data)];
      for (const spec of [good, doomed]) await store(chunks, spec, data);
      await chunks.trash([doomed.chunkId]);
      files.failAt(operation, 1, code, true);
      await expect(store(chunks, refused, data)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
      const triesOf = () => files.calls[operation] ?? 0;
      // The file system says that there is plenty.
      const tries = triesOf();
      expect(await chunks.capacity()).toMatchObject({ freeBytes: 0 });
      expect(triesOf()).toBeGreaterThan(tries);
      expect(chunks.failure).toBeUndefined();
      await expect(chunks.begin(refused)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
      // Reads and deletes go on; what is in the trash is given up, as no piece comes to need its room.
      expect((await load(chunks, good)).equals(data)).toBe(true);
      expect(files.paths().filter((path) => path.startsWith('/data/trash/'))).toEqual([]);
      await chunks.trash([good.chunkId]);
      files.intercept = () => undefined;
      expect(await chunks.capacity()).toMatchObject({ freeBytes: 0 });
      await clock.advance(5_000);
      expect((await chunks.capacity()).freeBytes).toBeGreaterThan(0);
      await store(chunks, refused, data);
      expect(files.paths().filter((path) => path.startsWith('/data/tmp/'))).toEqual([]);
      files.crash();
      expect((await load(chunks, refused)).equals(data)).toBe(true);
      expect(files.openFiles).toBe(0);
    });

    it('for want of room has all dropped that were being written, and none of them synced again', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const [other, spec] = [specOf(data), specOf(data)];
      const writer = await chunks.begin(other);
      for (const run of runsOf(data)) await writer.append(run);
      files.failAt('syncData', 1, 'ENOSPC');
      await expect(store(chunks, spec, data)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
      await chunks.capacity();
      // This sync succeeds; the kernel may have dropped bytes of it with the others.
      await expect(writer.commit()).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
      await writer.abort();
      for (const dropped of [other, spec]) {
        expect(await chunks.stat(dropped)).toBeUndefined();
        await store(chunks, dropped, data);
      }
    });

    it('for want of a permission takes pieces again when all is permitted, and not before', async () => {
      const files = new ForgetfulFileSystem();
      const clock = new ManualClock();
      const chunks = await openStore(files, '/data', { clock });
      const denied = '/data/chunks/7f';
      const deny = (operation: Operation) => {
        files.intercept = (called, path) => {
          const inside = path === denied || path.startsWith(`${denied}/`);
          if (called === operation && inside) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
        };
      };
      for (const operation of ['readDirectory', 'rename'] as const) {
        const spec = specOf(data, { chunkId: `7f${specOf(data).chunkId.slice(2)}` });
        await store(chunks, spec, data);
        deny(operation);
        await expect(chunks.trash([spec.chunkId])).rejects.toThrow('EACCES');
        await chunks.capacity();
        expect(chunks.failure).toMatchObject({ code: 'PERMISSION_DENIED' });
        await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
        files.intercept = () => undefined;
        await clock.advance(5_000);
        await chunks.capacity();
        expect(chunks.failure).toBeUndefined();
        await chunks.trash([spec.chunkId]);
        await store(chunks, specOf(data), data);
      }
      expect(files.paths().filter((path) => path.endsWith('permitted'))).toEqual([]);
    });

    it('for want of a permission and then with EIO in a sync stays out of service', async () => {
      const files = new ForgetfulFileSystem();
      const clock = new ManualClock();
      const chunks = await openStore(files, '/data', { clock });
      const writer = await chunks.begin(specOf(data));
      for (const run of runsOf(data)) await writer.append(run);
      files.failAt('readDirectory', 1, 'EACCES');
      await expect(chunks.trash([specOf(data).chunkId])).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
      files.failAt('syncData', 1, 'EIO');
      await expect(writer.commit()).rejects.toMatchObject({ code: 'DISK_FAILED' });
      await clock.advance(5_000);
      await chunks.capacity();
      expect(chunks.failure).toMatchObject({ code: 'DISK_FAILED' });
      await expect(chunks.begin(specOf(data))).rejects.toMatchObject({ code: 'DISK_FAILED' });
    });

    it('with EIO in the trial for room is out of service', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      files.failAt('syncData', 1, 'ENOSPC');
      await expect(store(chunks, specOf(data), data)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
      files.failAt('syncData', 1, 'EIO');
      await chunks.capacity();
      expect(chunks.failure).toMatchObject({ code: 'DISK_FAILED' });
    });

    it('in a read says so and stays in use', async () => {
      const files = new ForgetfulFileSystem();
      const chunks = await openStore(files, '/data');
      const spec = specOf(data);
      await store(chunks, spec, data);
      files.failAt('read', 1, 'EIO');
      await expect(load(chunks, spec)).rejects.toMatchObject({ code: 'DISK_FAILED' });
      expect((await load(chunks, spec)).equals(data)).toBe(true);
      expect(files.openFiles).toBe(0);
    });
  });
});

describe('a piece that is moved while the process ends', () => {
  const data = bytesOf(20_000);

  it.each(['trash', 'quarantine'] as const)(
    'is in one of the two places on its way to the %s when another start came before the power went',
    async (place) => {
      let moved = false;
      for (let step = 1; !moved; step += 1) {
        // Of the start after it, the steps that have to do with the piece.
        for (let startStep = 1; startStep <= 20; startStep += 1) {
          const files = new ForgetfulFileSystem();
          const chunks = await openStore(files, '/data');
          const spec = specOf(data);
          const neighbour = {
            ...spec,
            chunkId: spec.chunkId.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
          };
          for (const each of [spec, neighbour]) await store(chunks, each, data);
          // Only the process ends: the kernel has all that it did.
          files.losePowerAt(step);
          const move = place === 'trash' ? chunks.trash([spec.chunkId]) : chunks.quarantine(spec);
          moved = await move.then(
            () => true,
            () => false,
          );
          files.losePowerAt(startStep);
          await openStore(files, '/data').catch(() => undefined);
          files.crash();
          const left = files.paths().filter((path) => path.endsWith(`/${spec.chunkId}.0`));
          expect({ step, startStep, left: left.length > 0 }).toEqual({ step, startStep, left: true });
        }
        expect(step).toBeLessThan(20);
      }
    },
  );
});
