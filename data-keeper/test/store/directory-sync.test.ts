/** Shared directory syncs: nobody is told "done" by a sync that began before they came. */
import { describe, expect, it } from '@jest/globals';
import type { FileSystem } from '@holdfast/shared';
import { DirectorySync } from '../../src/store/directory-sync.js';

function held(): { fileSystem: FileSystem; syncs: { end(): void; fail(): void }[] } {
  const syncs: { end(): void; fail(): void }[] = [];
  const sync = (): Promise<void> =>
    new Promise((resolve, reject) => syncs.push({ end: resolve, fail: () => reject(new Error('EIO')) }));
  const openDirectory = () => Promise.resolve({ sync, close: () => Promise.resolve() });
  return { fileSystem: { openDirectory } as unknown as FileSystem, syncs };
}

/** Lets every promise that can settle do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('DirectorySync', () => {
  it('has all who come during a sync share the next one', async () => {
    const { fileSystem, syncs } = held();
    const sync = new DirectorySync(fileSystem);
    const done: number[] = [];
    const note = (n: number) => (): void => void done.push(n);
    const all = [sync.sync('/a').then(note(0)), sync.sync('/a').then(note(1)), sync.sync('/a').then(note(2))];
    await settle();
    expect(syncs).toHaveLength(1);
    syncs[0]?.end();
    await settle();
    expect(done).toEqual([0]);
    expect(syncs).toHaveLength(2);
    syncs[1]?.end();
    await Promise.all(all);
    expect(done).toEqual([0, 1, 2]);
  });

  it('starts anew when nobody is waiting, and keeps directories apart', async () => {
    const { fileSystem, syncs } = held();
    const sync = new DirectorySync(fileSystem);
    const first = [sync.sync('/a'), sync.sync('/b')];
    await settle();
    expect(syncs).toHaveLength(2);
    for (const { end } of syncs) end();
    await Promise.all(first);
    const again = sync.sync('/a');
    await settle();
    expect(syncs).toHaveLength(3);
    syncs[2]?.end();
    await again;
  });

  it('tells a failure to those it concerns', async () => {
    const { fileSystem, syncs } = held();
    const sync = new DirectorySync(fileSystem);
    const [first, second] = [sync.sync('/a'), sync.sync('/a')];
    await settle();
    syncs[0]?.fail();
    await expect(first).rejects.toThrow('EIO');
    await settle();
    syncs[1]?.end();
    await second;
  });
});
