/**
 * What a crash leaves, at every step of the write path, on a file system that forgets what was not synced: nothing
 * or a whole verified piece; and after the commit has resolved, always the piece.
 */
import { describe, expect, it } from '@jest/globals';
import type { PieceSpec } from '../../src/store/piece.js';
import { bytesOf } from '../support/fixtures.js';
import { ForgetfulFileSystem, type Operation } from '../support/forgetful-file-system.js';
import { load, openStore, specOf, store } from '../support/store-fixture.js';

const data = bytesOf(20_000);
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
async function hasPiece(files: ForgetfulFileSystem, spec: PieceSpec): Promise<boolean> {
  const chunks = await openStore(files, '/data');
  expect(files.paths().filter((path) => path.startsWith('/data/tmp/'))).toEqual([]);
  if ((await chunks.stat(spec).catch(() => undefined)) === undefined) return false;
  expect((await load(chunks, spec)).equals(data)).toBe(true);
  return true;
}

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
      const found = await hasPiece(files, spec);
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
    expect(await hasPiece(files, spec)).toBe(true);
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
    expect(await hasPiece(files, spec)).toBe(false);
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
    ['syncData', 'ENOSPC'],
    ['syncDirectory', 'EIO'],
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

  it('that is merely full refuses the piece, removes it and goes on', async () => {
    const files = new ForgetfulFileSystem();
    const chunks = await openStore(files, '/data');
    for (const n of [1, 2, 3]) {
      files.failAt('write', n, 'ENOSPC');
      await expect(store(chunks, specOf(data), data)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
      expect(files.paths().filter((path) => path.startsWith('/data/tmp/'))).toEqual([]);
    }
    expect(chunks.failure).toBeUndefined();
    await store(chunks, specOf(data), data);
    expect(files.openFiles).toBe(0);
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
