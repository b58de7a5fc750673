/** One run of the bench, from the options to the results. */
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contender } from './contender.js';
import { ownContenders } from './contenders.js';
import { fillPageCache } from './machine/page-cache.js';
import { describeMachine, isInMemory } from './machine/description.js';
import { workingDirectory } from './machine/working-directory.js';
import type { BenchOptions } from './options.js';
import { peers } from './peers/index.js';
import { figure } from './report/words.js';
import { writePage } from './report/page.js';
import { comparisonTable, workloadTable } from './report/tables.js';
import { targetTable } from './report/targets.js';
import { readResults, type Results, writeResults } from './results.js';
import { interleave } from './run/order.js';
import { runTrials, type TrialEvent } from './run/run.js';
import { fullSizes, quickSizes, type Sizes } from './run/sizes.js';
import type { Trial } from './run/stage.js';
import { type Case, caseWords, workloads } from './samples.js';
import { version } from './version.js';
import { allTrials } from './workloads/index.js';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Measures as the options say; resolves to the exit status: 1 if a trial failed. */
export async function bench(options: BenchOptions, signal: AbortSignal): Promise<number> {
  const startedAt = new Date();
  const seed = options.seed ?? randomInt(2 ** 32);
  const base = options.quick ? quickSizes : fullSizes;
  const replicas = options.replicas?.map(Number) ?? base.replicas;
  const sizes: Sizes = {
    ...base,
    bigBytes: options.size ?? base.bigBytes,
    replicas,
    keepers: Math.max(base.keepers, ...replicas),
  };
  const { present, absent } = await sortOut(chosenContenders(options));
  for (const [name, reason] of Object.entries(absent)) say(`${name} is left out: ${reason}`);
  const trials = trialsOf(options, present, sizes);
  const dataDir = await workingDirectory(options.dataDir);
  try {
    const machine = await describeMachine(dataDir, { holdfast: version, ...(await versionsOf(present)) });
    say(
      `${trials.length} trials, ${options.runs} rounds, --seed ${seed}, in ${dataDir} (${machine.fileSystem})`,
    );
    if (await isInMemory(dataDir))
      say('This file system is in memory: nothing here is durable, and syncs are free.');
    const rounds = interleave(trials, ({ workload }) => workload, options.runs, seed);
    const outcome = await runTrials({
      ...{ rounds, sizes, seed, dataDir, signal },
      ...(!options.quick && { prepare: () => fillPageCache(dataDir) }),
      onTrial: sayTrial,
    });
    const results: Results = {
      format: 1,
      startedAt: startedAt.toISOString(),
      seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
      ...{ machine, seed, runs: options.runs, quick: options.quick, sizes, absent },
      ...outcome,
    };
    const path = await writeResults(results, options.output);
    process.stdout.write(options.json ? `${JSON.stringify(results)}\n` : tablesOf(results));
    say(`All samples are in ${path}`);
    return outcome.failures.length === 0 ? 0 : 1;
  } finally {
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

function chosenContenders({ contenders, peers: withPeers }: BenchOptions): Contender[] {
  if (contenders) return [...ownContenders, ...peers].filter(({ name }) => contenders.includes(name));
  return [...ownContenders, ...(withPeers ? peers : [])];
}

/** Which can run here, and why the others cannot. */
async function sortOut(contenders: readonly Contender[]) {
  const reasons = await Promise.all(contenders.map((contender) => contender.unavailable()));
  const present = contenders.filter((_, index) => reasons[index] === undefined);
  const absent = Object.fromEntries(
    contenders.flatMap(({ name }, index) => {
      const reason = reasons[index];
      return reason === undefined ? [] : [[name, reason]];
    }),
  );
  return { present, absent };
}

async function versionsOf(contenders: readonly Contender[]): Promise<Record<string, string>> {
  const told = contenders.map(async (contender) => [contender.name, await contender.version?.()] as const);
  return Object.fromEntries(
    (await Promise.all(told)).flatMap(([name, words]) => (words === undefined ? [] : [[name, words]])),
  );
}

function trialsOf({ only }: BenchOptions, contenders: readonly Contender[], sizes: Sizes): Trial[] {
  return allTrials(contenders, sizes).filter(({ workload }) => only?.includes(workload) ?? true);
}

/** What the trial's own words do not say. */
function progressWords({ action, inFlight, clients }: Case): string {
  return caseWords({
    action,
    ...(inFlight !== undefined && { inFlight }),
    ...(clients !== undefined && { clients }),
  });
}

function sayTrial({ round, rounds, number, trials, trial, samples, failure }: TrialEvent): void {
  const figures = samples.map(
    (sample) => `${progressWords(sample.case)} ${figure(sample.rate)} ${sample.unit}`,
  );
  const outcome = failure === undefined ? figures.join(', ') : `failed: ${failure}`;
  say(`round ${round}/${rounds}, ${number}/${trials}: ${trial.workload}: ${trial.label}: ${outcome}`);
}

function tablesOf({ samples }: Results): string {
  const sections = workloads
    .filter((workload) => samples.some((sample) => sample.workload === workload))
    .flatMap((workload) => [workload, workloadTable(samples, workload), comparisonTable(samples, workload)]);
  return [...sections, targetTable(samples), '']
    .filter((part, index, parts) => part !== '' || index === parts.length - 1)
    .join('\n\n');
}

/** Makes docs/performance.md of the results of one run, or of several; resolves to the exit status. */
export async function report(paths: readonly string[]): Promise<number> {
  const page = fileURLToPath(new URL('../../docs/performance.md', import.meta.url));
  const runs = paths.map(async (path) => ({ name: basename(path), results: await readResults(path) }));
  await writePage(await Promise.all(runs), page);
  say(`Written: ${page}`);
  return 0;
}
