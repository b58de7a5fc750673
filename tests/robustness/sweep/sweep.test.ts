/**
 * A server or a client is hit at each system call of each step of the protocol, one after the other: it is killed
 * there, or the call fails, or power goes with everything that was not on stable storage.
 *
 * `npm test` tries a few points that a fresh seed chooses, which the names of the tests say, or HOLDFAST_SWEEP_SEED: two
 * would take twice as long, and each run of the tests gets to other points. HOLDFAST_SWEEP=all tries all of them, which takes
 * hours; HOLDFAST_SWEEP=kill/tracker those whose names begin so, and with a whole name, such as
 * kill/tracker/overwrite/fsync/2, that one. A sweep says at the end of each place how many it hit, and fails where
 * it hit none; HOLDFAST_SWEEP_COUNT=1 beside it only counts them.
 */
import { expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { missingForPowerCuts } from '../../support/loop-disk.js';
import { type Numbers, numbersFrom, pick } from '../../support/seeded-numbers.js';
import { missingForStrace } from '../../support/strace.js';
import {
  type ClientStep,
  type ClientTrouble,
  clientName,
  clientSteps,
  hitClient,
  measureClient,
} from './client-steps.js';
import { type Place, type Trouble, hit, measure, nameOf, ways } from './points.js';
import { steps } from './steps.js';
import { type Target, countPoints, sweep, tryOne } from './trying.js';
import { World, type WorldOptions } from './world.js';

const wanted = process.env['HOLDFAST_SWEEP'];
const isCounting = process.env['HOLDFAST_SWEEP_COUNT'] !== undefined;
const seed = Number(process.env['HOLDFAST_SWEEP_SEED'] ?? randomInt(2 ** 31));
const withoutStrace = missingForStrace();
const withoutPowerCuts = withoutStrace ?? missingForPowerCuts();

/** Hundreds of points, each of some seconds, on a busy machine; HOLDFAST_SWEEP_JOBS of the places side by side. */
const ofPlaces = { limitMs: 4 * 3_600_000, isConcurrent: true };

const places = (Object.keys(ways) as Trouble[]).flatMap((trouble) =>
  steps.flatMap((step) =>
    step.victims
      .filter(() => ways[trouble].world === 'three keepers' || step.needsOthers !== true)
      .map((victim): Place => ({ trouble, victim, step })),
  ),
);
const clientTroubles = ['kill', 'EIO', 'ENOSPC'] as const;

/** `it`, or a skipped one that says what is missing. */
function itWithout(
  missing: string | undefined,
  name: string,
  test: () => Promise<void>,
  { limitMs, isConcurrent = false }: { readonly limitMs: number; readonly isConcurrent?: boolean },
) {
  if (missing !== undefined) it.skip(`${name} (needs ${missing})`, test);
  else if (isConcurrent) it.concurrent(name, test, limitMs);
  else it(name, test, limitMs);
}

async function inWorld(
  kind: 'three keepers' | 'one disk',
  use: (world: World) => Promise<void>,
  options: WorldOptions = {},
) {
  const world = await World.make(kind, options);
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

function serverTarget(world: World, place: Place): Target {
  return {
    name: nameOf(place),
    measure: () => measure(world, place),
    hit: (call, number) => hit(world, { ...place, call, number }),
  };
}

function clientTarget(world: World, trouble: ClientTrouble, step: ClientStep): Target {
  return {
    name: clientName(trouble, step),
    measure: () => measureClient(world, trouble, step),
    hit: (call, number) => hitClient(world, trouble, step, call, number),
  };
}

/** Every point of a place, or what of it is wanted. */
async function tryWanted(target: Target): Promise<void> {
  const [call, number] = wanted?.split('/').slice(3) ?? [];
  if (isCounting) process.stderr.write(`${await countPoints(target)}\n`);
  else if (number === undefined) process.stderr.write(`${await sweep(target, call)}\n`);
  else expect(await target.hit(call!, Number(number))).toBe(true);
}

/** One point of each of these troubles. */
async function tryServers(world: World, troubles: readonly Trouble[], number: Numbers): Promise<void> {
  for (const trouble of troubles) {
    // They share a world, in which nothing that was deleted stays.
    const those = places.filter((place) => place.trouble === trouble && place.step.needsTrash !== true);
    await tryOne(serverTarget(world, pick(number, those)), number);
  }
}

async function tryClients(world: World, number: Numbers): Promise<void> {
  const trouble = pick(number, clientTroubles);
  const those = clientSteps.filter(({ isLong }) => isLong !== true);
  await tryOne(clientTarget(world, trouble, pick(number, those)), number);
}

if (wanted === undefined) {
  const limitMs = 600_000;
  itWithout(
    withoutStrace,
    `a server or a command is killed in a call, or the call fails (HOLDFAST_SWEEP_SEED=${seed})`,
    () =>
      inWorld('three keepers', async (world) => {
        const number = numbersFrom(seed);
        await tryServers(world, ['kill', 'EIO', 'ENOSPC'], number);
        await tryClients(world, number);
      }),
    { limitMs },
  );
  itWithout(
    withoutPowerCuts,
    `power goes in a call, or after a sync that failed (HOLDFAST_SWEEP_SEED=${seed})`,
    () =>
      inWorld('one disk', (world) =>
        tryServers(world, ['power-loss', 'power-loss-after-EIO'], numbersFrom(seed)),
      ),
    { limitMs },
  );
} else {
  for (const place of places.filter((each) => isWanted(nameOf(each)))) {
    const { world: kind } = ways[place.trouble];
    const missing = kind === 'one disk' ? withoutPowerCuts : withoutStrace;
    const options = { keepsTrash: place.step.needsTrash === true };
    const test = () => inWorld(kind, (world) => tryWanted(serverTarget(world, place)), options);
    itWithout(missing, nameOf(place), test, ofPlaces);
  }
  const pairs = clientTroubles.flatMap((trouble) =>
    clientSteps.map((step): [ClientTrouble, ClientStep] => [trouble, step]),
  );
  for (const [trouble, step] of pairs.filter((pair) => isWanted(clientName(...pair)))) {
    const test = () => inWorld('three keepers', (world) => tryWanted(clientTarget(world, trouble, step)));
    itWithout(withoutStrace, clientName(trouble, step), test, ofPlaces);
  }
}
