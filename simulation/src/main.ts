/** `npm run simulate`: histories side by side, until one breaks a promise. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type HistoryResult, runHistory } from './history.js';
import { minimise } from './minimise.js';
import { type SimulateOptions, commandOf, parseOptions, usage } from './options.js';
import { type HistorySum, add, nothing, summaryLines, summaryOf, sumOf } from './summary.js';

/** Lines of a trace that are shown after a failure. */
const shownLines = 400;
/**
 * After these a process makes room for a new one. Node holds a combined AbortSignal that somebody listens to for as long as
 * it has not aborted, and so what a killed process of a history left: some 2 MB for each history.
 */
const historiesOfProcess = 100;
/** How often progress is told. */
const tellEvery = 100;

/** Of a program that was interrupted, as shells have it. */
const interruptedStatus = 130;

interface Answer {
  readonly seed: number;
  readonly violation?: string;
  readonly sum: HistorySum;
}

/** What is for people goes beside the one document where that was asked for. */
let isJson = false;
const say = (text: string): void => void (isJson ? process.stderr : process.stdout).write(`${text}\n`);

/**
 * Whether somebody has pressed Ctrl-C: what runs comes to its end, which takes seconds, and counts; nothing else begins.
 * Who does it again ends everything at once.
 */
let isInterrupted = false;
process.once('SIGINT', () => {
  isInterrupted = true;
  say('interrupted: waiting for the histories that run');
});

async function main(): Promise<number> {
  let options;
  try {
    options = parseOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (options === 'help') {
    say(usage);
    return 0;
  }
  isJson = options.json;
  if (options.seeds === 1) return runOne(options);
  return runMany(options);
}

async function runOne(options: SimulateOptions): Promise<number> {
  const { firstSeed, trace, without, minimise: shrink } = options;
  const startedMs = performance.now();
  const result = await runHistory(firstSeed, { without, ...(trace && { traceLines: Infinity }) });
  if (trace) say(result.trace.join('\n'));
  const { user, system } = process.cpuUsage();
  const failed = result.violation === undefined ? [] : [result];
  report(sumOf(result, (user + system) / 1_000), performance.now() - startedMs, failed);
  say(`fingerprint ${result.fingerprint}`);
  if (result.violation === undefined) return isInterrupted ? interruptedStatus : 0;
  await tell(result, shrink, without);
  return 1;
}

async function runMany(options: SimulateOptions): Promise<number> {
  const { firstSeed, seeds, minutes, jobs } = options;
  say(`seeds from ${firstSeed} on`);
  const startedMs = performance.now();
  const isTimeOver = (): boolean => performance.now() - startedMs > minutes * 60_000;
  let sum = nothing;
  let next = 0;
  let failed: Answer | undefined;
  const isDone = (): boolean => failed !== undefined || isInterrupted || next >= seeds || isTimeOver();
  /** As many histories as one process runs, one after the other. */
  const workOnce = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const child = fork(fileURLToPath(new URL('worker-process.js', import.meta.url)));
      let given = 0;
      const giveNext = (): void => {
        if (isDone() || given === historiesOfProcess) child.disconnect();
        else child.send(firstSeed + next++);
        given += 1;
      };
      child.on('message', (answer: Answer) => {
        sum = add(sum, answer.sum);
        if (answer.violation !== undefined) failed ??= answer;
        if (sum.histories % tellEvery === 0) say(`${sum.histories} histories, no violation`);
        giveNext();
      });
      child.on('error', reject);
      child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(ended(child, code)))));
      giveNext();
    });
  const work = async (): Promise<void> => {
    while (!isDone()) await workOnce();
  };
  await Promise.all(Array.from({ length: jobs }, work));
  report(sum, performance.now() - startedMs, failed ? [failed] : []);
  if (!failed && isInterrupted) say(`interrupted after ${sum.histories} histories, no violation`);
  if (!failed) return isInterrupted ? interruptedStatus : 0;
  await tell(await runHistory(failed.seed), options.minimise);
  return 1;
}

function report(
  sum: HistorySum,
  tookMs: number,
  failed: readonly { readonly seed: number; readonly violation?: string }[],
): void {
  const violations = failed.map(({ seed, violation }) => ({ seed, violation }));
  if (isJson) process.stdout.write(`${JSON.stringify({ violations, ...summaryOf(sum, tookMs) })}\n`);
  else for (const line of summaryLines(sum, tookMs)) say(line);
}

function ended(child: ChildProcess, code: number | null): string {
  return `a process of the simulation ended with ${child.signalCode ?? code}`;
}

async function tell(
  failing: HistoryResult,
  shrink: boolean,
  leftOut: ReadonlySet<number> = new Set(),
): Promise<void> {
  say(`\nseed ${failing.seed} breaks a promise: ${failing.violation}`);
  const { result, without } = shrink
    ? await minimise(failing, {}, runHistory, () => isInterrupted)
    : { result: failing, without: leftOut };
  if (shrink) {
    say(
      `\nwith ${failing.plan.length - without.size} of its ${failing.plan.length} faults: ${result.violation}`,
    );
  }
  say(result.trace.slice(-shownLines).join('\n'));
  say(`\nIt again: ${commandOf(failing.seed, without)}`);
}

process.exitCode = await main();
