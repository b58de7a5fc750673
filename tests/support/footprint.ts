/**
 * What a process holds, as the kernel counts it: what leaks shows here, whatever the program says of itself.
 * Scenarios whose servers are processes end with the look that nobody holds more than before.
 */
import type { Cluster } from '@holdfast/local-cluster';
import { readFile, readdir, readlink, stat } from 'node:fs/promises';
import { waitFor } from './wait.js';

export interface Footprint {
  readonly residentBytes: number;
  /** Open files, pipes and the like. */
  readonly files: number;
  readonly sockets: number;
  readonly threads: number;
}

/** Of each process, by its name. */
export type Footprints = ReadonlyMap<string, Footprint>;

/** A process, as a member of a cluster is one; who has none, or does not run, is passed by. */
export interface Holder {
  readonly name: string;
  readonly pid?: number | undefined;
}

export const serversOf = ({ tracker, keepers }: Cluster): readonly Holder[] => [tracker, ...keepers];

/**
 * How much more than before a process may hold when all is quiet: a connection or two to each of the others, which come
 * and go, and V8's heap. Pieces are no part of this: not one may be open.
 */
const leakLimits = { files: 8, sockets: 24, threads: 4, residentBytes: 96 * 1024 ** 2 } as const;
/** The promise of bounded memory: how much of that a process takes, and when, is its own affair. */
const residentLimitBytes = 250e6;
/** Connections that carried blocks are let go of a minute after. */
const leakLimitMs = 180_000;

/** Of those that run. */
export async function footprintsOf(holders: Iterable<Holder>): Promise<Footprints> {
  const found = new Map<string, Footprint>();
  for (const { name, pid } of holders) {
    const footprint = pid === undefined ? undefined : await footprintOf(pid);
    if (footprint) found.set(name, footprint);
  }
  return found;
}

/**
 * Waits until nobody holds a file as below, nor more than before of anything. Resolves to what they hold.
 *
 * @throws Error that says who holds what
 */
export async function expectNothingHeld(holders: Iterable<Holder>, before: Footprints): Promise<Footprints> {
  await expectNoFilesHeld(holders);
  return waitFor(
    'everybody to hold as much as before',
    async () => {
      const now = await footprintsOf(holders);
      const problems = [...now].flatMap(([name, each]) => grownOf(name, each, before.get(name) ?? each));
      if (problems.length > 0) collectGarbage(holders);
      assertNone(problems);
      return now;
    },
    leakLimitMs,
  );
}

/** Waits until nobody holds a piece open, nor a file that is gone: who is done with one closes it at once. */
export async function expectNoFilesHeld(holders: Iterable<Holder>): Promise<void> {
  await waitFor('everybody to have let go of their files', async () => {
    for (const holder of holders) assertNone(await heldFilesOf(holder));
    return true;
  });
}

/** Of those that leaks-show.mjs taught it; others ignore the signal. */
function collectGarbage(holders: Iterable<Holder>): void {
  for (const { pid } of holders) if (pid !== undefined && pid !== process.pid) process.kill(pid, 'SIGWINCH');
}

function assertNone(problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(problems.join('; '));
}

function grownOf(name: string, now: Footprint, was: Footprint): string[] {
  const allowed = (what: keyof Footprint): number =>
    Math.max(was[what] + leakLimits[what], what === 'residentBytes' ? residentLimitBytes : 0);
  return Object.keys(leakLimits)
    .map((key) => key as keyof Footprint)
    .filter((what) => now[what] > allowed(what))
    .map((what) => `${name} has ${now[what]} ${what}, and had ${was[what]}`);
}

/** Of a process of this machine; undefined where there is no /proc. @throws Error ENOENT if it is gone */
async function footprintOf(pid: number): Promise<Footprint | undefined> {
  if (process.platform !== 'linux') return undefined;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  const folder = `/proc/${pid}/fd`;
  const open = await Promise.all(
    // What is closed meanwhile is not open.
    (await readdir(folder)).map((name) => stat(`${folder}/${name}`).catch(() => undefined)),
  );
  const count = (isOne: (each: NonNullable<(typeof open)[number]>) => boolean): number =>
    open.filter((each) => each !== undefined && isOne(each)).length;
  return {
    residentBytes: field('VmRSS') * 1024,
    // A keeper keeps the directories open in which it stores: 256 at most, and more of them with every hour.
    files: count((each) => !each.isSocket() && !each.isDirectory()),
    sockets: count((each) => each.isSocket()),
    threads: field('Threads'),
  };
}

/** Pieces, and files that are gone from their directories already; nothing where there is no /proc. */
async function heldFilesOf({ name, pid }: Holder): Promise<string[]> {
  // In the process of a test are others' files too.
  if (pid === undefined || pid === process.pid) return [];
  const directory = `/proc/${pid}/fd`;
  const open = await readdir(directory).catch(() => []);
  const paths = await Promise.all(open.map((each) => readlink(`${directory}/${each}`).catch(() => '')));
  return paths
    .filter((path) => /\/[0-9a-f]{32}\.\d+(\.[0-9a-f]+)?$|^\/.* \(deleted\)$/.test(path))
    .map((path) => `${name} has ${path} open`);
}
