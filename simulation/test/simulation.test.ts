import { randomInt } from 'node:crypto';
import { runHistory } from '../src/history.js';
import { minimise } from '../src/minimise.js';

/** What a violation is told with. */
function story({ seed, violation, trace }: Awaited<ReturnType<typeof runHistory>>): string {
  return `seed ${seed}: ${violation}\n${trace.slice(-100).join('\n')}\nnpm run simulate -- --seed ${seed} --trace`;
}

/** Known seeds, so that every run of the tests has tried at least these; and some that nobody has tried before. */
const fixedSeeds = [1, 2, 3, 4, 5, 6];
const firstFreshSeed = process.env['HOLDFAST_SEED']
  ? Number(process.env['HOLDFAST_SEED'])
  : randomInt(2 ** 40);
const freshSeeds = [0, 1, 2].map((index) => firstFreshSeed + index);

describe('a cluster under a seed', () => {
  it.each([...fixedSeeds, ...freshSeeds])('keeps its promises whatever goes wrong: seed %d', async (seed) => {
    const result = await runHistory(seed);
    if (result.violation !== undefined) throw new Error(story(result));
    expect(result.outcomes.get('upload ok')).toBeGreaterThan(0);
  });

  it('has one history for one seed', async () => {
    const [one, other] = [await runHistory(11), await runHistory(11)];
    expect(other.trace).toEqual(one.trace);
    expect(other.fingerprint).toBe(one.fingerprint);
    expect((await runHistory(12)).fingerprint).not.toBe(one.fingerprint);
  });

  it('finds it out when disks only say that they sync, and which fault shows it', async () => {
    let failing = await runHistory(1, { lyingDisks: true });
    for (let seed = 2; failing.violation === undefined && seed < 20; seed += 1) {
      failing = await runHistory(seed, { lyingDisks: true });
    }
    expect(failing.violation).toBeDefined();
    const { result, without } = await minimise(failing, { lyingDisks: true });
    expect(result.violation).toBeDefined();
    const left = failing.plan.filter((_, index) => !without.has(index)).map(({ kind }) => kind);
    expect(left.length).toBeLessThan(4);
    expect(left.join()).toContain('power');
  });
});
