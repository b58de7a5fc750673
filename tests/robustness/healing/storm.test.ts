/**
 * One short phase of the fire (`npm run fire`): real processes, links and disks are hit by what a seed chooses, several
 * at a time, while clients and command lines work. What the promises say is survived must be survived, whatever the
 * order, and in the end nobody holds more than before, and work is as fast.
 *
 * HOLDFAST_STORM_SEED chooses another storm.
 */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { temporaryFolder } from '../../support/files.js';
import '../../support/soon-idle.mjs';
import { Fire } from '../fire/fire.js';

const seed = Number(process.env['HOLDFAST_STORM_SEED'] ?? 1_562);
const lengthMs = 12_000;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

it(`a storm is survived (HOLDFAST_STORM_SEED=${seed})`, async () => {
  const fire = await Fire.start({ folder: folder.path, keepers: 5, preloads: ['soon-idle.mjs'] });
  try {
    const isEnough = (): boolean => fire.faults.size > 1 && fire.tally.total('ok') > 20;
    // A machine that is slow gets little done in a phase.
    for (let phase = 0; phase === 0 || (phase < 4 && !isEnough()); phase += 1) {
      await fire.phase(seed + phase, lengthMs);
    }
    await fire.rest();
  } catch (error) {
    throw new Error(`${String(error)}\n${fire.lines.join('\n')}`, { cause: error });
  } finally {
    await fire.stop();
  }
  expect(fire.faults.size).toBeGreaterThan(1);
  expect(fire.tally.total('ok')).toBeGreaterThan(20);
});
