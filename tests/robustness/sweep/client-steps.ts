/** What the command line changes, here and there, as steps during which it is killed or fails. */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { start } from '../../support/command.js';
import {
  type Fate,
  clientCalls,
  countedCalls,
  fileCalls,
  oneFileThread,
  readCalls,
  underStrace,
  untilEnded,
  wasInjected,
} from '../../support/strace.js';
import type { World } from './world.js';

export interface ClientStep {
  readonly name: string;
  /** Takes long: not among those of which a few are chosen. */
  readonly isLong?: boolean;
  prepare(world: World): Promise<Prepared>;
}

interface Prepared {
  /** The same command ends what it did not end the first time. */
  readonly command: readonly string[];
  /** What of its own files it reads, and that fails like what it writes. */
  readonly reads: readonly string[];
  /** Has it run, and the ledger know what it changes. */
  change(run: () => Promise<void>): Promise<void>;
  /** After it did not end. @throws Error if anything is neither as before nor as after */
  check?(): Promise<void>;
  /** After it did. */
  checkDone(): Promise<void>;
}

export type ClientTrouble = 'kill' | 'EIO' | 'ENOSPC';

const calls: Readonly<Record<ClientTrouble, readonly string[]>> = {
  kill: clientCalls,
  EIO: [...fileCalls, ...readCalls],
  ENOSPC: fileCalls,
};

export const clientSteps: readonly ClientStep[] = [
  {
    name: 'upload',
    prepare: async (world) => {
      const path = world.path('sent');
      const bytes = world.bytes(3 * 65_536 + 1);
      const source = join(await world.newFolder(), 'source');
      await writeFile(source, bytes);
      return {
        command: ['upload', source, path, '--force', '--chunk-size', '64KiB'],
        reads: [source],
        change: (change) => world.ledger.change([[path, bytes]], change),
        checkDone: async () => expectNames(join(world.folder, 'state', 'holdfast', 'uploads'), []),
      };
    },
  },
  {
    name: 'upload-many',
    prepare: async (world) => {
      const folder = await world.newFolder();
      const files = Array.from({ length: 4 }, (_, index) => ({
        path: world.path('sent'),
        bytes: world.bytes(index),
      }));
      const sources = files.map(({ path }) => join(folder, path));
      for (const { path, bytes } of files) await writeFile(join(folder, path), bytes);
      return {
        command: ['upload', ...sources, '/', '--force'],
        reads: sources,
        change: async (change) => {
          // Each file by itself: of those of a command that was killed some may be there.
          const done = change();
          const outcomes = await Promise.allSettled(
            files.map(({ path, bytes }) => world.ledger.change([[path, bytes]], () => done)),
          );
          for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
        },
        checkDone: () => Promise.resolve(),
      };
    },
  },
  { name: 'download', prepare: (world) => download(world, 70_000) },
  { name: 'download-over', prepare: (world) => download(world, 70_000, Buffer.from('what was there')) },
  // Long enough to be gone on with.
  { name: 'download-resumed', isLong: true, prepare: (world) => download(world, 32 * 1024 ** 2 + 1) },
];

async function download(world: World, length: number, before?: Buffer): Promise<Prepared> {
  const path = world.path('fetched');
  const bytes = world.bytes(length);
  await world.ledger.upload(world.client, path, bytes);
  const folder = await world.newFolder();
  const target = join(folder, 'target');
  if (before) await writeFile(target, before);
  const there = (): Promise<Buffer | undefined> => readFile(target).catch(() => undefined);
  return {
    command: ['download', path, target, '--force'],
    reads: [folder, target],
    change: (change) => change(),
    check: async () => {
      const found = await there();
      const isBefore = before ? found?.equals(before) === true : found === undefined;
      if (!isBefore && found?.equals(bytes) !== true) throw new Error(`${target} has ${found?.length} bytes`);
    },
    checkDone: async () => {
      if ((await there())?.equals(bytes) !== true) throw new Error(`${target} is not what was fetched`);
      // Of a short one that was killed the part stays; nobody goes on with it.
      if (length > 32 * 1024 ** 2) await expectNames(folder, ['target']);
    },
  };
}

async function expectNames(folder: string, expected: readonly string[]): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  if (names.join() !== expected.join()) throw new Error(`${folder} has ${names.join(', ')}`);
}

export function clientName(trouble: ClientTrouble, step: ClientStep): string {
  return `${trouble}/client/${step.name}`;
}

export async function measureClient(
  world: World,
  trouble: ClientTrouble,
  step: ClientStep,
): Promise<Map<string, number>> {
  const log = join(world.folder, 'strace.log');
  const { command, reads, change, checkDone } = await step.prepare(world);
  const watch = { calls: calls[trouble], files: reads };
  await change(() => runClient(world, command, underStrace(log, watch)));
  await checkDone();
  return countedCalls(log, watch);
}

/** As `hit` of points.ts: the command is hit, and then run once more as it is. */
export async function hitClient(
  world: World,
  trouble: ClientTrouble,
  step: ClientStep,
  call: string,
  number: number,
): Promise<boolean> {
  const log = join(world.folder, 'strace.log');
  const fate: Fate = trouble;
  try {
    world.beginPoint();
    const { command, reads, change, check, checkDone } = await step.prepare(world);
    const injection = { calls: [call], files: reads, fate, number };
    const error = await change(() => runClient(world, command, underStrace(log, injection))).then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    const isHit = await wasInjected(log, error !== undefined);
    if (error && !isHit) throw error;
    await world.checkTouched();
    // What could not be removed is, by the same command.
    const isLeft = isHit && call === 'unlink';
    if (error) await check?.();
    else if (!isLeft) await checkDone();
    await change(() => runClient(world, command));
    await world.checkTouched();
    await checkDone();
    return isHit;
  } catch (error) {
    throw new Error(`at ${clientName(trouble, step)}/${call}/${number}: ${String(error)}`, { cause: error });
  }
}

async function runClient(
  world: World,
  command: readonly string[],
  wrapper: readonly string[] = [],
): Promise<void> {
  const running = start('client', [...command, '--tracker', world.cluster.trackerAddress], {
    environment: { ...oneFileThread, XDG_STATE_HOME: join(world.folder, 'state') },
    wrapper,
  });
  const { status, signal, stderr } = await untilEnded(running);
  // Killed, or it says what is wrong.
  if (status !== 0 && signal === null && stderr === '') throw new Error(`it ends ${status} without a word`);
  if (status !== 0) throw new Error(`it ends ${status ?? signal}: ${stderr}`);
}
