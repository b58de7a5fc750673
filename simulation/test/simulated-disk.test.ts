import { SeededRandom } from '../src/seeded-random.js';
import { SimulatedDisk } from '../src/simulated-disk.js';
import { SimulatedProcess } from '../src/simulated-process.js';
import { VirtualTime } from '../src/virtual-time.js';

const pageBytes = 4_096;
const pages = 8;

/** What is left of a file of old pages that was synced, and then grew and was written over with new ones that were not. */
async function leftAfterPowerCut(seed: number): Promise<string> {
  const time = new VirtualTime();
  const disk = new SimulatedDisk(new SeededRandom(seed));
  const fileSystem = disk.viewOf(new SimulatedProcess('keeper', time));
  const work = async (): Promise<void> => {
    const file = await fileSystem.open('/file', 'create');
    await file.write(Buffer.alloc(pages * pageBytes, 'o'), 0);
    await file.syncData();
    await fileSystem.syncDirectory('/');
    await file.write(Buffer.alloc((pages + 2) * pageBytes, 'n'), 0);
  };
  await time.finish('writing', work(), 60_000);
  disk.losePower();
  return disk.contentOf('/file').toString('latin1');
}

describe('a disk whose power is cut', () => {
  it('has each page of a file old or new, and of those never synced new or empty', async () => {
    const kinds = new Set<string>();
    for (let seed = 0; seed < 40; seed += 1) {
      const left = await leftAfterPowerCut(seed);
      expect([pages, pages + 2]).toContain(left.length / pageBytes);
      const found = Array.from({ length: left.length / pageBytes }, (_, page) => {
        const bytes = new Set(left.slice(page * pageBytes, (page + 1) * pageBytes));
        expect(bytes.size).toBe(1);
        return [...bytes].join('');
      });
      expect(found.slice(0, pages).join('')).toMatch(/^[on]*$/);
      expect(found.slice(pages).join('')).toMatch(/^[n\0]*$/);
      kinds.add([...new Set(found.slice(0, pages))].sort().join(''));
    }
    expect(kinds).toEqual(new Set(['o', 'n', 'no']));
  });
});
