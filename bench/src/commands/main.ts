/**
 * The program `npm run bench:commands`: what single commands of the client take to start, and what they take on a
 * namespace of many entries beside one of a quarter as many. Memory that grows with the entries is a failure.
 */
import { startCluster, startProcessCluster } from '@holdfast/local-cluster';
import { loadConfig, option, runProgram } from '@holdfast/shared/program';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientProgram } from '../holdfast/command-line.js';
import { describeMachine } from '../machine/description.js';
import { workingDirectory } from '../machine/working-directory.js';
import { markdownTable } from '../report/tables.js';
import { figure, megabytes } from '../report/words.js';
import { writeNamedResults } from '../results.js';
import { median } from '../stats.js';
import { version } from '../version.js';
import { type Taken, runNode } from './run-command.js';

/** Servers end in order; then the data goes. */
const stopLimitMs = 30_000;
/** As large directories are in practice; 500 of them hold what the issue of many entries is about. */
const filesPerDirectory = 400;
/** What four times the entries may take of memory: what grows more holds them all. */
const allowedMemoryGrowth = 1.5;

const spec = {
  program: 'npm run bench:commands --',
  version,
  describe:
    'Starts single commands of the client beside `node -e 0`, starts clusters in this process, and lists, finds, compares and moves a tree of many entries and of a quarter as many.',
  options: {
    entries: option.integer({ min: 1_600, max: 10_000_000 })({
      describe: 'Files of the bigger tree, 400 to a directory',
      default: '200000',
    }),
    runs: option.integer({ min: 1, max: 1_000 })({
      describe: 'How often the short commands run',
      default: '11',
    }),
    dataDir: option.path({
      describe: 'Where to work, in a new directory that is removed; about 25 GB for a million entries',
      placeholder: 'DIR',
    }),
    output: option.path({
      describe: 'The file for the results; by default a new one in bench/results',
      placeholder: 'FILE',
    }),
  },
  examples: [
    ['npm run bench:commands', '200,000 entries'],
    ['npm run bench:commands -- --entries 1600 --runs 1', 'whether it works'],
  ],
} as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Files of a few bytes each: it is their number that matters. */
async function makeTree(path: string, files: number): Promise<void> {
  for (let first = 0; first < files; first += filesPerDirectory) {
    const folder = join(path, String(first / filesPerDirectory).padStart(6, '0'));
    await mkdir(folder, { recursive: true });
    const names = Array.from({ length: Math.min(filesPerDirectory, files - first) }, (_, index) =>
      String(first + index).padStart(8, '0'),
    );
    await Promise.all(names.map((name) => writeFile(join(folder, name), name)));
  }
}

/** What is done with a tree, in this order. */
function treeCommands(local: string, remote: string, back: string): Record<string, readonly string[]> {
  return {
    'upload -r': ['upload', '-r', local, remote],
    'ls one directory': ['ls', `${remote}/000000`],
    find: ['find', remote, '--name', '*7'],
    tree: ['tree', remote],
    du: ['du', remote],
    diff: ['diff', local, `:${remote}`],
    'sync, nothing to do': ['sync', local, `:${remote}`],
    'download -r': ['download', '-r', remote, back],
  };
}

function middle(runs: readonly Taken[]): Taken {
  const of = (key: keyof Taken): number => median(runs.map((run) => run[key]));
  return { seconds: of('seconds'), cpuSeconds: of('cpuSeconds'), peakBytes: of('peakBytes') };
}

void runProgram({
  name: 'bench:commands',
  stopLimitMs,
  async start({ signal }) {
    const { entries, runs, dataDir, output } = loadConfig(spec);
    const startedAt = new Date().toISOString();
    const directory = await workingDirectory(dataDir);
    const cluster = await startProcessCluster({ dataDir: join(directory, 'cluster'), keepers: 3 });
    try {
      const client = (...words: readonly string[]): string[] => [
        ...[clientProgram, ...words, '--tracker', cluster.trackerAddress],
      ];

      const starts: Record<string, readonly string[]> = {
        'node -e 0': ['-e', '0'],
        'client --help': [clientProgram, '--help'],
        'client ls': client('ls', '/'),
      };
      const started = Object.fromEntries(Object.keys(starts).map((name) => [name, [] as Taken[]]));
      for (let run = 0; run < runs; run += 1) {
        for (const [name, args] of Object.entries(starts))
          started[name]?.push(await runNode(args, { signal }));
      }
      const floor = middle(started['node -e 0'] ?? []);
      const startRows = Object.entries(started).map(([name, samples]) => {
        const { seconds, cpuSeconds, peakBytes } = middle(samples);
        return [
          ...[name, `${figure(seconds * 1000)} ms`, `${figure(seconds / floor.seconds)} times`],
          ...[`${figure(cpuSeconds * 1000)} ms`, megabytes(peakBytes)],
        ];
      });

      const clusterMs: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        const startMs = performance.now();
        const inProcess = await startCluster({ keepers: 3, dataDir: join(directory, `in-process-${run}`) });
        clusterMs.push(performance.now() - startMs);
        await inProcess.stop();
      }

      const measured: Record<string, Record<string, Taken>> = {};
      const counts = [Math.round(entries / 4), entries];
      for (const count of counts) {
        const local = join(directory, `tree-${count}`);
        await makeTree(local, count);
        const taken: Record<string, Taken> = {};
        const remote = `/tree-${count}`;
        for (const [name, words] of Object.entries(treeCommands(local, remote, `${local}-back`))) {
          taken[name] = await runNode(client(...words), { signal });
          const { seconds, peakBytes } = taken[name];
          say(`${count} entries: ${name}: ${figure(seconds)} s, ${megabytes(peakBytes)} MB`);
        }
        measured[count] = taken;
        await rm(`${local}-back`, { recursive: true });
        await rm(local, { recursive: true });
      }
      const [small = {}, big = {}] = counts.map((count) => measured[count]);
      const grown: string[] = [];
      const treeRows = Object.entries(big).map(([name, after]) => {
        const before = small[name] ?? after;
        const growth = after.peakBytes / before.peakBytes;
        if (growth > allowedMemoryGrowth) grown.push(name);
        return [
          name,
          ...[before, after].map(
            ({ seconds, cpuSeconds }) => `${figure(seconds)} s (CPU ${figure(cpuSeconds)} s)`,
          ),
          ...[before, after].map(({ peakBytes }) => megabytes(peakBytes)),
          `${figure(growth)} times`,
        ];
      });

      const startHead = ['start', 'median', 'of `node -e 0`', 'CPU', 'peak MB'];
      const treeHead = [
        ...['command', ...counts.map((count) => `${count} entries`)],
        ...[...counts.map((count) => `peak MB, ${count}`), 'growth'],
      ];
      process.stdout.write(
        [
          markdownTable(startHead, startRows),
          `startCluster, 3 keepers: the first ${figure(clusterMs[0] ?? 0)} ms, median ${figure(median(clusterMs))} ms`,
          markdownTable(treeHead, treeRows),
          '',
        ].join('\n\n'),
      );
      for (const name of grown) say(`FAILED: the memory of ${name} grows with the entries`);
      const machine = await describeMachine(directory, { holdfast: version });
      const results = { format: 1, startedAt, machine, runs, started, clusterMs, measured };
      say(`All figures are in ${await writeNamedResults('commands', startedAt, results, output)}`);
      return grown.length === 0 ? 0 : 1;
    } finally {
      await cluster.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  },
});
