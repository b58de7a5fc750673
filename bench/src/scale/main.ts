/** The program `npm run bench:scale`: what the tracker's big jobs cost at one size and at four times that. */
import { loadConfig, option, runProgram } from '@holdfast/shared/program';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Child } from '../children/child.js';
import { describeMachine } from '../machine/description.js';
import { workingDirectory } from '../machine/working-directory.js';
import { writeNamedResults } from '../results.js';
import { figure, megabytes } from '../report/words.js';
import { markdownTable } from '../report/tables.js';
import { median } from '../stats.js';
import { version } from '../version.js';
import { type StepBounds, allowedGrowth, missedBounds } from './bounds.js';
import type { Population } from './generate.js';
import type { Figures, ScaleMethods } from './tracker-process.js';

const processModule = new URL('./tracker-process.js', import.meta.url);
/** Servers end in order; then the data goes. */
const stopLimitMs = 30_000;
const keepers = 12;

const spec = {
  program: 'npm run bench:scale --',
  version,
  describe:
    'Writes the metadata of a big cluster into a database, and measures what a death, a report, a restart and a status cost, at a quarter of it and at all of it.',
  options: {
    chunks: option.integer({ min: 4_000, max: 20_000_000 })({
      describe: 'Chunks of the bigger one, three pieces each on 12 keepers',
      default: '1000000',
    }),
    runs: option.integer({ min: 1, max: 100 })({ describe: 'How often each is measured', default: '3' }),
    seed: option.integer({ min: 0, max: 2 ** 32 - 1 })({ describe: 'Decides all ids', default: '1' }),
    dataDir: option.path({
      describe: 'Where to work, in a new directory that is removed; about 1.5 GB for a million chunks',
      placeholder: 'DIR',
    }),
    output: option.path({
      describe: 'The file for the results; by default a new one in bench/results',
      placeholder: 'FILE',
    }),
  },
  examples: [
    ['npm run bench:scale', '250,000 and 1,000,000 chunks'],
    ['npm run bench:scale -- --chunks 40000 --runs 1', 'whether it works'],
  ],
} as const;

/** What is measured, in the order in which it happens. */
const steps = {
  restart: 'the tracker starts: from opening to the first answer',
  report: 'a keeper reports all its pieces',
  status: 'status of a healthy cluster',
  death: "a keeper's death: until its last chunk is queued",
  pass: 'the planner, once over the queue',
  'status, degraded': 'status with the whole queue',
  return: 'the keeper is back: until the queue is empty',
  'give up': 'an upload of a tenth as many chunks is given up',
  replace: "a keeper's storage is replaced: until the new one may register",
} as const;
type Step = keyof typeof steps;
type Measured = Readonly<Record<Step, Figures>>;

/** Of a chunk or piece that a step is about. */
const cpuSecondsEach = 60e-6;

/** Of the steps at this many chunks. */
function boundsOf(step: Step, chunks: number): StepBounds {
  if (step === 'restart') return { cpuSeconds: 0.2 };
  // Of the queue's front it looks at so much and no more.
  if (step === 'status' || step === 'status, degraded') return { cpuSeconds: 0.1 };
  const each = step === 'give up' ? chunks / 10 : (3 * chunks) / keepers;
  // What a small run takes to get going.
  return { cpuSeconds: 0.2 + each * cpuSecondsEach, growth: allowedGrowth };
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function measureOnce(
  child: Child<ScaleMethods>,
  path: string,
  population: Population,
  run: number,
): Promise<Measured> {
  const restart = await child.call('open', path, population);
  await child.call('registerAll');
  const results = {
    restart,
    report: await child.call('report'),
    status: await child.call('status'),
    death: await child.call('death'),
    pass: await child.call('pass'),
    'status, degraded': await child.call('status'),
    return: await child.call('return'),
    'give up': await child.call('giveUp', run),
    replace: await child.call('replace'),
  };
  await child.call('refill');
  return results;
}

function middle(runs: readonly Measured[], step: Step): Figures {
  const of = (key: keyof Figures): number => median(runs.map((run) => run[step][key]));
  return {
    seconds: of('seconds'),
    cpuSeconds: of('cpuSeconds'),
    longestHoldMs: of('longestHoldMs'),
    longestHoldCpuMs: of('longestHoldCpuMs'),
    peakResidentBytes: of('peakResidentBytes'),
    count: of('count'),
  };
}

function rowOf(step: Step, small: readonly Measured[], big: readonly Measured[]): readonly string[] {
  const [a, b] = [middle(small, step), middle(big, step)];
  const times = `${figure(b.cpuSeconds / a.cpuSeconds)} times`;
  return [
    steps[step],
    ...[a, b].map(({ seconds, cpuSeconds }) => `${figure(seconds)} s (CPU ${figure(cpuSeconds)} s)`),
    times,
    ...[a, b].map(
      ({ longestHoldMs, longestHoldCpuMs }) =>
        `${figure(longestHoldMs)} ms (CPU ${figure(longestHoldCpuMs)} ms)`,
    ),
    ...[a, b].map(({ peakResidentBytes }) => megabytes(peakResidentBytes)),
  ];
}

void runProgram({
  name: 'bench:scale',
  stopLimitMs,
  async start({ signal }) {
    const { chunks, runs, seed, output, dataDir } = loadConfig(spec);
    const startedAt = new Date().toISOString();
    const directory = await workingDirectory(dataDir);
    const sizes = [Math.round(chunks / 4), chunks];
    const measured: { readonly chunks: number; readonly databaseBytes: number; readonly runs: Measured[] }[] =
      [];
    let child: Child<ScaleMethods> | undefined;
    const abort = (): void => void child?.stop();
    signal.addEventListener('abort', abort);
    try {
      for (const size of sizes) {
        const path = join(directory, `${size}.sqlite`);
        const population = { chunks: size, keepers, openUploads: runs, seed };
        const startMs = performance.now();
        child = await Child.start<ScaleMethods>(processModule);
        await child.call('generate', path, population);
        await child.stop();
        const databaseBytes = (await stat(path)).size;
        const seconds = (performance.now() - startMs) / 1000;
        say(
          `${size} chunks: ${megabytes(databaseBytes)} MB of metadata in ${figure(seconds)} s, --seed ${seed}`,
        );
        const results: Measured[] = [];
        for (let run = 1; run <= runs; run += 1) {
          // A process of its own for each run: none has the memory of an earlier one.
          child = await Child.start<ScaleMethods>(processModule);
          const result = await measureOnce(child, path, population, run - 1);
          await child.call('close');
          await child.stop();
          const words = Object.entries(result).map(
            ([step, figures]) => `${step} ${figure(figures.seconds)} s`,
          );
          say(`run ${run}/${runs}: ${words.join(', ')}`);
          results.push(result);
        }
        measured.push({ chunks: size, databaseBytes, runs: results });
      }
      const [small, big] = measured.map((each) => each.runs);
      const stepNames = Object.keys(steps) as Step[];
      const table = markdownTable(
        [
          'what',
          ...sizes.map((size) => `${size} chunks`),
          'ratio of CPU time',
          ...sizes.map((size) => `longest hold, ${size}`),
          ...sizes.map((size) => `peak MB, ${size}`),
        ],
        stepNames.map((step) => rowOf(step, small ?? [], big ?? [])),
      );
      const missed = stepNames.flatMap((step) =>
        missedBounds(step, boundsOf(step, chunks), middle(small ?? [], step), middle(big ?? [], step)),
      );
      process.stdout.write(`${table}\n\n`);
      for (const each of missed) say(`Beyond its bound: ${each}.`);
      if (missed.length === 0) say('Everything is within its bounds of time, holds, memory and growth.');
      const machine = await describeMachine(directory, { holdfast: version });
      const results = { format: 1, startedAt, machine, seed, keepers, sizes: measured };
      say(`All figures are in ${await writeNamedResults('scale', startedAt, results, output)}`);
      return missed.length === 0 ? 0 : 1;
    } finally {
      signal.removeEventListener('abort', abort);
      await child?.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  },
});
