/**
 * Where a server can be hit: a fate, a victim, a step of the protocol, a system call and its number in this step. Each
 * point has a name, by which it can be had again alone.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { start } from '../../support/command.js';
import { lookAtDisk } from '../../support/keeper-disk.js';
import {
  type Fate,
  type Injection,
  Tracer,
  type Watch,
  countedCalls,
  fileCalls,
  oneFileThread,
  readCalls,
  serverCalls,
  syncCalls,
  underStrace,
  untilEnded,
  wasInjected,
} from '../../support/strace.js';
import { waitFor } from '../../support/wait.js';
import type { StartStep, Step, WorkStep } from './steps.js';
import type { Victim, World } from './world.js';

/** Kinds of trouble: what happens to the call, and what of it is looked at. */
export type Trouble = 'kill' | 'EIO' | 'ENOSPC' | 'power-loss' | 'power-loss-after-EIO';

interface Way {
  readonly fate: Fate;
  /** The calls that it is for. */
  readonly calls: readonly string[];
  readonly world: 'three keepers' | 'one disk';
}

export const ways: Readonly<Record<Trouble, Way>> = {
  kill: { fate: 'kill', calls: serverCalls, world: 'three keepers' },
  EIO: { fate: 'EIO', calls: [...fileCalls, ...readCalls], world: 'three keepers' },
  ENOSPC: { fate: 'ENOSPC', calls: fileCalls, world: 'three keepers' },
  'power-loss': { fate: 'kill', calls: serverCalls, world: 'one disk' },
  // The sync that fails is not made: who goes on as if it had been has lied when the power is gone.
  'power-loss-after-EIO': { fate: 'EIO', calls: syncCalls, world: 'one disk' },
};

export interface Place {
  readonly trouble: Trouble;
  readonly victim: Victim;
  readonly step: Step;
}

export interface Point extends Place {
  readonly call: string;
  readonly number: number;
}

export function nameOf({ trouble, victim, step }: Place): string {
  return `${trouble}/${victim}/${step.name}`;
}

function pointName(point: Point): string {
  return `${nameOf(point)}/${point.call}/${point.number}`;
}

/** How long somebody who was told of a failure has to tell others wrong things, before it is looked what is true. */
const graceMs = 1_000;
/** Of a step that is not hit, on a busy machine under strace. */
const patienceMs = 180_000;

/** Does the step once, unharmed; how often the victim made each call in it. */
export async function measure(world: World, { trouble, victim, step }: Place): Promise<Map<string, number>> {
  const log = join(world.folder, 'strace.log');
  let files: readonly string[] = [];
  const { calls } = ways[trouble];
  await act(world, { victim, step }, log, (those) => ({ calls, files: (files = those) }));
  return countedCalls(log, { calls, files });
}

/**
 * Does the step with the call hit, brings the victim up again, and looks at what the step was about.
 *
 * @returns false if there was no such call: the step is over before its `number`
 * @throws Error if anything is not as it has to be
 */
export async function hit(world: World, point: Point): Promise<boolean> {
  const log = join(world.folder, 'strace.log');
  const { fate } = ways[point.trouble];
  try {
    const injection = { calls: [point.call], fate, number: point.number };
    const wasHit = await act(world, point, log, (files) => ({ ...injection, files }));
    await world.settle();
    await world.checkTouched();
    return wasHit;
  } catch (error) {
    throw new Error(`at ${pointName(point)}: ${String(error)}`, { cause: error });
  }
}

function act(
  world: World,
  { victim, step }: Pick<Place, 'victim' | 'step'>,
  log: string,
  what: Try['what'],
): Promise<boolean> {
  world.beginPoint();
  const tried: Try = { world, victim, log, what };
  return 'directory' in step ? begin(tried, step) : work(tried, step);
}

interface Try {
  readonly world: World;
  readonly victim: Victim;
  readonly log: string;
  /** What to do to calls, or that they are only counted; of those that read, to these files. */
  what(files: readonly string[]): Watch | Injection;
}

/** The files and directories that a server has, now that its step begins. None if it is new. */
async function filesOf(dataDir: string): Promise<string[]> {
  const found = await readdir(dataDir, { recursive: true }).catch(() => []);
  return found.length === 0 ? [] : [dataDir, ...found.map((name) => join(dataDir, name))];
}

interface Outcome {
  readonly error?: Error;
}

async function outcomeOf(doIt: () => Promise<void>): Promise<Outcome> {
  try {
    await doIt();
    return {};
  } catch (error) {
    return { error: error as Error };
  }
}

async function work({ world, victim, log, what }: Try, step: WorkStep): Promise<boolean> {
  await world.settle();
  const doIt = await step.prepare(world, victim);
  const member = world.member(victim);
  const watched = what(await filesOf(member.dataDir));
  const injection = 'fate' in watched ? watched : undefined;
  const tracer = await Tracer.attach(member.pid ?? 0, log, watched);
  let outcome: Outcome | undefined;
  const done = outcomeOf(doIt).then((ended) => (outcome = ended));
  const isOver = async (): Promise<boolean> => (await tracer.hasEnded()) || (await tracer.wasInjected());
  await waitFor('the step to end or to be hit', async () => outcome ?? (await isOver()), patienceMs);
  if (injection !== undefined && !(await tracer.hasEnded()) && (await tracer.wasInjected())) {
    const limitMs = step.endsByItself === true ? patienceMs : graceMs;
    await waitFor('an outcome', async () => outcome ?? (await tracer.hasEnded()), limitMs).catch(
      () => undefined,
    );
    // A server that is not well serves what it serves right.
    if (!(await tracer.hasEnded()) && world.disk === undefined) await world.checkTouched();
  }
  await tracer.detach();
  const isHit = injection !== undefined && (await tracer.wasInjected());
  if (isHit) await world.recover(member);
  else {
    // Missed: the next one may be what only a server does that has just started.
    if (injection !== undefined) await member.kill();
    await member.start();
  }
  const { error } = await done;
  // One keeper of three, or a tracker that is back at once, is nothing that a client is told of, but for want of room.
  const mayFail = world.disk !== undefined || injection?.fate === 'ENOSPC';
  if (error !== undefined && !mayFail) throw error;
  return isHit;
}

/** A server is started, hit, and started again: it is the same one, or becomes one if it was none yet. */
async function begin(tried: Try, { directory }: StartStep): Promise<boolean> {
  const { world, victim, log, what } = tried;
  const member = world.member(victim);
  const isNew = directory === 'new';
  if (!isNew) await member.kill();
  const dataDir = isNew ? join(await world.newFolder(), 'data') : member.dataDir;
  const listen = isNew ? '127.0.0.1:0' : member.address;
  // New keepers are none of the cluster's: it would wait for each to be dead.
  const tracker = isNew ? await world.spareTracker() : world.cluster.trackerAddress;
  const args = [
    '--data-dir',
    dataDir,
    '--listen',
    listen,
    ...(victim === 'keeper' ? ['--tracker', tracker] : []),
  ];
  const watched = what(await filesOf(dataDir));
  const isMeasured = !('fate' in watched);
  const hasStarted = await startOnce(victim, args, underStrace(log, watched));
  const isHit = !isMeasured && (await wasInjected(log, !hasStarted));
  if (!hasStarted && !isHit) throw new Error('it did not start, and nothing was done to it');
  if (!isMeasured && world.disk !== undefined) await world.recover(member);
  else await member.start();
  if (isNew) {
    if (!(await startOnce(victim, args))) throw new Error('it does not start any more');
    const { strangers } = victim === 'keeper' ? await lookAtDisk(dataDir) : { strangers: [] };
    if (strangers.length > 0) throw new Error(`what is ${strangers.join(', ')}?`);
  }
  return isHit;
}

/** Starts a server, and kills it as soon as it is ready; false if it ended before. */
async function startOnce(victim: Victim, args: string[], wrapper: readonly string[] = []): Promise<boolean> {
  const program = victim === 'keeper' ? 'data-keeper' : 'master-tracker';
  const running = start(program, args, { environment: oneFileThread, wrapper, limitMs: patienceMs });
  let hasEnded = false;
  const finished = untilEnded(running).then(() => {
    hasEnded = true;
  });
  const isReady = (): boolean => /the keeper is ready|the tracker serves/.test(running.stderr());
  await waitFor('the server to start or to end', () => hasEnded || isReady(), patienceMs);
  const wasReady = isReady();
  running.child.kill('SIGKILL');
  await finished;
  return wasReady;
}
