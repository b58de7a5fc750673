/**
 * A server or a client is hit at each system call of each step of the protocol, one after the other: it is killed
 * there, or the call fails, or power goes with everything that was not on stable storage.
 *
 * `npm test` tries a few points that HOLDFAST_SWEEP_SEED chooses. HOLDFAST_SWEEP=all tries all of them, which takes
 * hours; HOLDFAST_SWEEP=kill/tracker those whose names begin so, and with a whole name, such as
 * kill/tracker/overwrite/fdatasync/2, that one. A sweep says at the end of each step how many there were.
 */
import { expect, it } from '@jest/globals';
import { missingForPowerCuts } from '../../support/loop-disk.js';
import { numbersFrom } from '../../support/seeded-numbers.js';
import { missingForStrace } from '../../support/strace.js';
import {
  type ClientStep,
  type ClientTrouble,
  clientSteps,
  hitClient,
  measureClient,
} from './client-steps.js';
import { type Place, type Trouble, hit, measure, nameOf, ways } from './points.js';
import { steps } from './steps.js';
import { World } from './world.js';

const wanted = process.env['HOLDFAST_SWEEP'];
const seed = Number(process.env['HOLDFAST_SWEEP_SEED'] ?? 1);
const withoutStrace = missingForStrace();
const withoutPowerCuts = withoutStrace ?? missingForPowerCuts();

/** Of like calls one in so many is enough: of those that make 256 directories, or wake a thread after each read. */
const stride: Readonly<Record<string, number>> = { mkdir: 25, mkdirat: 25, write: 7 };

const places = (Object.keys(ways) as Trouble[]).flatMap((trouble) =>
  steps.flatMap((step) =>
    step.victims
      .filter(() => ways[trouble].world === 'three keepers' || step.needsOthers !== true)
      .map((victim): Place => ({ trouble, victim, step })),
  ),
);
const clientTroubles = ['kill', 'EIO', 'ENOSPC'] as const;

/** `it`, or a skipped one that says what is missing. */
function itWithout(missing: string | undefined, name: string, test: () => Promise<void>, limitMs: number) {
  if (missing === undefined) it(name, test, limitMs);
  else it.skip(`${name} (needs ${missing})`, test);
}

async function inWorld(kind: 'three keepers' | 'one disk', use: (world: World) => Promise<void>) {
  const world = await World.make(kind);
  try {
    await use(world);
    await world.judge();
  } catch (error) {
    // A sweep of hours is not over with it.
    if (wanted !== undefined) process.stderr.write(`${String(error)}\n`);
    throw error;
  } finally {
    await world.remove();
  }
}

/** Whether what is wanted begins with this name, or the other way round. */
function isWanted(name: string): boolean {
  return wanted === 'all' || `${name}/`.startsWith(`${wanted}/`) || `${wanted}/`.startsWith(`${name}/`);
}

/** Every point of a step: of each call that it makes one after the other, until the step is over before. */
async function sweep(
  name: string,
  measured: () => Promise<ReadonlyMap<string, number>>,
  tryIt: (call: string, number: number) => Promise<boolean>,
): Promise<void> {
  const [call, number] = wanted?.split('/').slice(3) ?? [];
  if (call !== undefined && number !== undefined) {
    expect(await tryIt(call, Number(number))).toBe(true);
    return;
  }
  const points: string[] = [];
  for (const each of (await measured()).keys()) {
    if (call !== undefined && each !== call) continue;
    let tried = 0;
    for (let next = 1; await tryIt(each, next); next += stride[each] ?? 1) tried += 1;
    points.push(`${each} ${tried}`);
  }
  process.stderr.write(`${name}: ${points.join(', ')}\n`);
}

/** One of the calls that were measured. */
function choose(counts: ReadonlyMap<string, number>, number: (below: number) => number): [string, number] {
  const all = [...counts].flatMap(([call, count]) =>
    Array.from({ length: count }, (_, index): [string, number] => [call, index + 1]),
  );
  return all[number(all.length)] ?? ['fsync', 1];
}

/** One point of each of these troubles. */
async function tryServers(
  world: World,
  troubles: readonly Trouble[],
  number: (below: number) => number,
): Promise<void> {
  for (const trouble of troubles) {
    const those = places.filter((place) => place.trouble === trouble);
    const place = those[number(those.length)]!;
    const [call, which] = choose(await measure(world, place), number);
    await hit(world, { ...place, call, number: which });
  }
}

async function tryClients(world: World, number: (below: number) => number): Promise<void> {
  const those = clientSteps.filter(({ isLong }) => isLong !== true);
  const trouble = clientTroubles[number(clientTroubles.length)]!;
  const step = those[number(those.length)]!;
  const [call, which] = choose(await measureClient(world, trouble, step), number);
  await hitClient(world, trouble, step, call, which);
}

if (wanted === undefined) {
  const limitMs = 240_000;
  itWithout(
    withoutStrace,
    `a server or a command is killed in a call, or the call fails (HOLDFAST_SWEEP_SEED=${seed})`,
    () =>
      inWorld('three keepers', async (world) => {
        const number = numbersFrom(seed);
        await tryServers(world, ['kill', 'EIO', 'ENOSPC'], number);
        await tryClients(world, number);
      }),
    limitMs,
  );
  itWithout(
    withoutPowerCuts,
    `power goes in a call, or after a sync that failed (HOLDFAST_SWEEP_SEED=${seed})`,
    () =>
      inWorld('one disk', (world) =>
        tryServers(world, ['power-loss', 'power-loss-after-EIO'], numbersFrom(seed)),
      ),
    limitMs,
  );
} else {
  const limitMs = 3_600_000;
  for (const place of places.filter((each) => isWanted(nameOf(each)))) {
    const { world: kind } = ways[place.trouble];
    const missing = kind === 'one disk' ? withoutPowerCuts : withoutStrace;
    const test = () =>
      inWorld(kind, (world) =>
        sweep(
          nameOf(place),
          () => measure(world, place),
          (call, number) => hit(world, { ...place, call, number }),
        ),
      );
    itWithout(missing, nameOf(place), test, limitMs);
  }
  const pairs = clientTroubles.flatMap((trouble) =>
    clientSteps.map((step): [ClientTrouble, ClientStep] => [trouble, step]),
  );
  for (const [trouble, step] of pairs) {
    const name = `${trouble}/client/${step.name}`;
    if (!isWanted(name)) continue;
    const test = () =>
      inWorld('three keepers', (world) =>
        sweep(
          name,
          () => measureClient(world, trouble, step),
          (call, number) => hitClient(world, trouble, step, call, number),
        ),
      );
    itWithout(withoutStrace, name, test, limitMs);
  }
}
