/**
 * A whole cluster as processes of this machine, one for each server, so that any of them can be killed for
 * real. For `npm start` and for tests that need the kernel's word for it.
 */
import { nodeFlags } from '@holdfast/data-keeper';
import { HoldfastError, isErrorCode } from '@holdfast/shared';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Cluster, type KeeperOptions, type Launchers } from './cluster.js';
import { type Where, launchFaultyKeeper, launchFaultyTracker } from './faulty-launch.js';
import { keeperList } from './in-process.js';
import type { Running } from './member.js';

export interface StartProcessClusterOptions {
  /** How many keepers, or one description for each. Default 3. */
  readonly keepers?: number | readonly KeeperOptions[];
  /** Where everything is kept; made if it is not there, never removed. */
  readonly dataDir: string;
  /** Default 0: any free one. */
  readonly trackerPort?: number;
  /** The first keeper's port; the next ones follow. Default 0: any free ones. */
  readonly firstKeeperPort?: number;
  /** More flags for `master-tracker`. */
  readonly trackerFlags?: readonly string[];
  /** More flags for `data-keeper`. */
  readonly keeperFlags?: readonly string[];
  /** Environment variables beside this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Offers the faults `partition` and `slow` of each member. Everything then takes a detour through this process. */
  readonly faults?: boolean;
  /** Told when a server ends that nobody asked to end. */
  readonly onUnexpectedExit?: (exit: UnexpectedExit) => void;
  /** Where the servers' logs (standard error) go; 'files': to the end of NAME.log beside their data. Default 'ignore'. */
  readonly logs?: 'inherit' | 'ignore' | 'files';
}

export interface UnexpectedExit {
  /** The command line that starts it again. */
  readonly command: readonly string[];
  readonly pid: number;
  /** The signal's name, or the exit status. */
  readonly reason: string;
}

/** A server is up in well under a second; a slow phone with a full report to make takes some more. */
const startTimeoutMs = 30_000;
/** The servers' own limit for a graceful stop is 10 s. */
const stopTimeoutMs = 15_000;

const require = createRequire(import.meta.url);

/** The launcher script of a program, as npm's own links would find it. */
function programPath(packageName: string, program: string): string {
  return join(dirname(require.resolve(packageName)), '..', 'bin', `${program}.cjs`);
}

/**
 * Starts a cluster of processes and resolves when every keeper has registered.
 *
 * @throws HoldfastError with the code and message of the server that could not start
 */
export async function startProcessCluster(options: StartProcessClusterOptions): Promise<Cluster> {
  const tracker = (dataDir: string, listen: string): Promise<Running> =>
    launchProcess(
      [
        programPath('@holdfast/master-tracker', 'master-tracker'),
        ...['--data-dir', dataDir, '--listen', listen],
        ...(options.trackerFlags ?? []),
      ],
      dataDir,
      options,
    );
  const keeper = (
    dataDir: string,
    { zone, capacityBytes }: KeeperOptions,
    where: Omit<Where, 'advertise'> & Partial<Where>,
  ): Promise<Running> =>
    launchProcess(
      [
        ...nodeFlags,
        programPath('@holdfast/data-keeper', 'data-keeper'),
        ...['--data-dir', dataDir, '--listen', where.listen, '--tracker', where.tracker],
        ...(where.advertise === undefined ? [] : ['--advertise', where.advertise]),
        ...(zone === undefined ? [] : ['--zone', zone]),
        ...(capacityBytes === undefined ? [] : ['--capacity', String(capacityBytes)]),
        ...(options.keeperFlags ?? []),
      ],
      dataDir,
      options,
    );
  const direct: Launchers = {
    tracker: (dataDir) => (listen) => tracker(dataDir, listen),
    keeper: (dataDir, particulars, trackerAddress) => (listen) =>
      keeper(dataDir, particulars, { listen, tracker: trackerAddress() }),
  };
  const faulty: Launchers = {
    tracker: (dataDir) => (listen) => launchFaultyTracker(listen, (at) => tracker(dataDir, at)),
    keeper: (dataDir, particulars, trackerAddress) => (listen) =>
      launchFaultyKeeper(listen, trackerAddress(), (where) => keeper(dataDir, particulars, where)),
  };
  const launchers = options.faults === true ? faulty : direct;
  const plan = {
    dataDir: options.dataDir,
    trackerPort: options.trackerPort ?? 0,
    firstKeeperPort: options.firstKeeperPort ?? 0,
    keepers: keeperList(options.keepers ?? 3),
  };
  return new Cluster(plan, launchers, () => Promise.resolve()).start();
}

/** What a server says on standard output under --json: that it is ready, or why it is not. */
interface Announcement {
  readonly event?: string;
  readonly address?: string;
  readonly boundAddress?: string;
  readonly keeperId?: string;
  readonly error?: { readonly code?: string; readonly message?: string; readonly remedy?: string };
}

async function launchProcess(
  command: readonly string[],
  dataDir: string,
  options: StartProcessClusterOptions,
): Promise<Running> {
  const { logs = 'ignore' } = options;
  const log = logs === 'files' ? openSync(`${dataDir}.log`, 'a') : logs;
  const child = spawn(process.execPath, [...command, '--json'], {
    stdio: ['pipe', 'pipe', log],
    // Its standard input is a pipe that ends with this process: no server outlives who started it.
    env: { ...process.env, HOLDFAST_STOP_WITH_PARENT: '1', ...options.environment },
    // A Ctrl-C at the terminal goes to this process alone, which then stops its servers in order.
    detached: process.platform !== 'win32',
  });
  // The child has its own by now.
  if (typeof log === 'number') closeSync(log);
  const exit = new Promise<string>((resolve) => {
    // 'close' comes after the last of its output, which mostly says why it ended.
    child.once('close', (status, signal) => resolve(signal ?? `status ${status ?? '?'}`));
    child.once('error', (error) => resolve(error.message));
  });
  const ready = await announcement(child, exit, command);
  let expected = false;
  void exit.then((reason) => {
    if (!expected) options.onUnexpectedExit?.({ command, pid: child.pid ?? 0, reason });
  });
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    expected = true;
    child.kill(signal);
    const force = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    await exit;
    clearTimeout(force);
  };
  return {
    address: ready.address ?? '',
    ...(child.pid !== undefined && { pid: child.pid }),
    ...(ready.keeperId !== undefined && { keeperId: ready.keeperId }),
    ...(ready.boundAddress !== undefined && { boundAddress: ready.boundAddress }),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}

/** Waits for the server's first line; an early end or silence is an error that says what it said. */
async function announcement(
  child: ChildProcess,
  exit: Promise<string>,
  command: readonly string[],
): Promise<Announcement> {
  const launcher = command.find((word) => word.endsWith('.cjs'));
  const program = launcher?.replace(/^.*[\\/]|\.cjs$/g, '') ?? 'server';
  const firstLine = new Promise<Announcement>((resolve) => {
    if (!child.stdout) return;
    createInterface({ input: child.stdout }).once('line', (line) => resolve(parseAnnouncement(line)));
  });
  const ended = exit.then((reason): Announcement => ({ error: { message: `it ended early (${reason})` } }));
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<Announcement>((resolve) => {
    timer = setTimeout(
      () => resolve({ error: { code: 'DEADLINE_EXCEEDED', message: 'it did not get ready in time' } }),
      startTimeoutMs,
    );
  });
  const outcome = await Promise.race([firstLine, ended, silence]);
  clearTimeout(timer);
  if (outcome.event === 'ready' && outcome.address !== undefined) return outcome;
  child.kill('SIGKILL');
  const { code, message, remedy } = outcome.error ?? {};
  throw new HoldfastError(isErrorCode(code) ? code : 'INTERNAL', `${program} did not start: ${message}`, {
    remedy: remedy ?? `Run it by hand to see its log: ${['node', ...command].join(' ')}`,
  });
}

function parseAnnouncement(line: string): Announcement {
  try {
    return JSON.parse(line) as Announcement;
  } catch {
    return { error: { message: line } };
  }
}
