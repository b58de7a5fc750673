/**
 * One run of the command line: parses, connects, runs the verb, and turns every end into an exit status. Ctrl-C
 * and --timeout abort the verb, which cleans up behind itself; the second Ctrl-C is the process's affair.
 */
import { createRequire } from 'node:module';
import { HoldfastError, exitStatus, exitStatusOf } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import { isOutcomeUnknown } from '../core/outcome.js';
import { firstOf } from '../core/signals.js';
import type { ConnectOptions } from '../connect.js';
import type { CommandSpec, Flags } from './command.js';
import { appendCommand } from './commands/append.js';
import { catCommand } from './commands/cat.js';
import { completionCommand } from './commands/completion.js';
import { cpCommand } from './commands/cp.js';
import { diffCommand } from './commands/diff.js';
import { downloadCommand } from './commands/download.js';
import { drainCommand } from './commands/drain.js';
import { duCommand } from './commands/du.js';
import { eventsCommand } from './commands/events.js';
import { explainCommand } from './commands/explain.js';
import { findCommand } from './commands/find.js';
import { forgetCommand } from './commands/forget.js';
import { fsckCommand } from './commands/fsck.js';
import { headCommand, tailCommand } from './commands/head-tail.js';
import { jobsCommand } from './commands/jobs.js';
import { keepersCommand } from './commands/keepers.js';
import { lsCommand } from './commands/ls.js';
import { maintenanceCommand } from './commands/maintenance.js';
import { mkdirCommand } from './commands/mkdir.js';
import { mvCommand } from './commands/mv.js';
import { rebalanceCommand } from './commands/rebalance.js';
import { rmCommand } from './commands/rm.js';
import { scrubCommand } from './commands/scrub.js';
import { statCommand } from './commands/stat.js';
import { statusCommand } from './commands/status.js';
import { trashEmptyCommand, trashLsCommand, trashRestoreCommand } from './commands/trash.js';
import { syncCommand } from './commands/sync.js';
import { treeCommand } from './commands/tree.js';
import { uploadCommand } from './commands/upload.js';
import { verifyCommand } from './commands/verify.js';
import { watchCommand } from './commands/watch.js';
import { whatIfCommand } from './commands/what-if.js';
import { flagValue } from './flag-values.js';
import type { CliIo } from './io.js';
import { isReaderGone } from './lost-output.js';
import { type Parsed, parseCommandLine } from './parse.js';
import { Reporter, asHoldfastError } from './reporter.js';
import { checkTypedBytes } from './typed-bytes.js';

const commands: readonly CommandSpec[] = [
  uploadCommand,
  downloadCommand,
  appendCommand,
  syncCommand,
  diffCommand,
  verifyCommand,
  lsCommand,
  treeCommand,
  findCommand,
  duCommand,
  statCommand,
  catCommand,
  headCommand,
  tailCommand,
  mkdirCommand,
  cpCommand,
  mvCommand,
  rmCommand,
  trashLsCommand,
  trashRestoreCommand,
  trashEmptyCommand,
  watchCommand,
  statusCommand,
  keepersCommand,
  explainCommand,
  whatIfCommand,
  eventsCommand,
  fsckCommand,
  drainCommand,
  rebalanceCommand,
  scrubCommand,
  jobsCommand,
  maintenanceCommand,
  forgetCommand,
  completionCommand(() => commands),
];

const groups = { trash: 'List, restore and give up what was deleted or replaced' };

/** How a client is had; tests have one in memory. */
export type Connect = (options: ConnectOptions) => Promise<HoldfastClient>;

/** Wider lines are hard to read, whatever the terminal. */
const maxHelpColumns = 100;

/** Runs the command line; resolves to the exit status and never rejects. */
export async function runCli(
  argv: readonly string[],
  io: CliIo,
  connectTo: Connect = connectOverGrpc,
): Promise<number> {
  const columns = Math.min(maxHelpColumns, io.stdout.columns ?? maxHelpColumns);
  let parsed: Parsed;
  try {
    await checkTypedBytes(argv, io);
    parsed = await parseCommandLine(argv, {
      program: io.program,
      version: ownVersion(),
      commands,
      groups,
      columns,
    });
  } catch (error) {
    // Before the flags are understood, --json is a word on the line.
    const json = argv.includes('--json');
    new Reporter(io, { json, quiet: false }).failure(asUsageError(error));
    return exitStatus.usage;
  }
  if (parsed.kind === 'output') {
    io.stdout.write(parsed.text);
    return exitStatus.done;
  }
  return runCommand(parsed, io, connectTo);
}

async function runCommand(
  { command, paths, flags }: Parsed & { kind: 'command' },
  io: CliIo,
  connectTo: Connect,
): Promise<number> {
  const report = new Reporter(io, { json: flags.isSet('json'), quiet: flags.isSet('quiet') });
  const abort = new AbortController();
  const signal = firstOf(abort.signal);
  const ignoreInterrupts = io.onInterrupt(() => abort.abort(new HoldfastError('CANCELLED', 'interrupted')));
  let lost: HoldfastError | undefined;
  const ignoreLostOutput = io.onOutputLost((error) => {
    lost ??= error;
    abort.abort(lost);
  });
  signal.addEventListener('abort', () => io.onGivenUp(), { once: true });
  let client: Promise<HoldfastClient> | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    timer = await startTimeout(command, flags, abort);
    const connect = (): Promise<HoldfastClient> => (client ??= connectBy(flags, io, signal, connectTo));
    const status = await command.run({ io, paths, flags, report, signal, connect });
    if (lost && !isReaderGone(lost)) throw lost;
    return status;
  } catch (error) {
    const isWork = report.tellsOfWork && !flags.isSet('dry-run');
    if (lost && isReaderGone(lost) && !isWork) return exitStatus.done;
    // What the abort led to says less than why there was one.
    const known = asHoldfastError(signal.aborted && !isOutcomeUnknown(error) ? signal.reason : error);
    report.failure(known);
    return exitStatusOf(known);
  } finally {
    clearTimeout(timer);
    ignoreInterrupts();
    ignoreLostOutput();
    await client?.then(
      (connected) => connected.close(),
      () => undefined,
    );
  }
}

async function startTimeout(
  { options }: CommandSpec,
  flags: Flags,
  abort: AbortController,
): Promise<NodeJS.Timeout | undefined> {
  const text = flags.text('timeout');
  if (text === undefined) return undefined;
  const { parseDuration } = await import('@holdfast/shared/values');
  const durationMs = flagValue(flags, 'timeout', parseDuration) ?? 0;
  if (durationMs <= 0) throw new HoldfastError('INVALID_ARGUMENT', '--timeout must be longer than nothing');
  // Of a verb that moves files it is a question what became of them.
  const promise = 'concurrency' in options ? 'Nothing that was not finished is visible. ' : '';
  const late = new HoldfastError('DEADLINE_EXCEEDED', `not done within ${text}`, {
    remedy: `${promise}Allow more time with --timeout.`,
  });
  // setTimeout fires at once for more than this.
  return setTimeout(() => abort.abort(late), Math.min(durationMs, 2 ** 31 - 1));
}

async function connectBy(
  flags: Flags,
  io: CliIo,
  signal: AbortSignal,
  connectTo: Connect,
): Promise<HoldfastClient> {
  const variable = io.env['HOLDFAST_TRACKER'];
  const tracker = flags.text('tracker') ?? (variable === '' ? undefined : variable);
  const { parseAddresses, formatAddress } = await import('@holdfast/shared/values');
  const place = flags.text('tracker') === undefined ? 'HOLDFAST_TRACKER' : '--tracker';
  let addresses: string | undefined;
  try {
    addresses = tracker === undefined ? undefined : parseAddresses(tracker).map(formatAddress).join(',');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HoldfastError('INVALID_ARGUMENT', `${place}: ${reason}`, { cause: error });
  }
  return connectTo({ signal, ...(addresses !== undefined && { tracker: addresses }) });
}

/** gRPC is most of the program's start; --help does without it. */
const connectOverGrpc: Connect = async (options) => {
  const { connect } = await import('../connect.js');
  return connect(options);
};

/** yargs reports a missing value as an error of its own. */
function asUsageError(error: unknown): HoldfastError {
  if (HoldfastError.is(error)) return error;
  if (error instanceof Error && error.name === 'YError') {
    return new HoldfastError('INVALID_ARGUMENT', error.message, { remedy: 'See --help.', cause: error });
  }
  return asHoldfastError(error);
}

function ownVersion(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
}
