/** The command line of `npm run bench`. */
import { loadConfig, option, type ConfigSources } from '@holdfast/shared/program';
import { workloads } from './samples.js';
import { version } from './version.js';

const options = {
  runs: option.integer({ min: 1, max: 1_000 })({
    describe: 'Rounds; each runs everything once',
    default: '5',
  }),
  size: option.size({ min: '1MiB', max: '64GiB' })({
    describe: 'The big file (1GiB, or 4MiB with --quick)',
  }),
  only: option.texts({ describe: `Workloads: ${workloads.join(', ')}`, placeholder: 'WORKLOAD,…' }),
  contenders: option.texts({
    describe: 'Contenders by name; the floors of the machine always run',
    placeholder: 'NAME,…',
  }),
  replicas: option.texts({
    describe: 'Numbers of copies, 1 to 3; by default all (2 with --quick)',
    placeholder: 'N,…',
  }),
  peers: option.flag({ describe: 'Also the peers that are installed', default: 'no' }),
  quick: option.flag({ describe: 'Small sizes: shows that it works, not how fast', default: 'no' }),
  dataDir: option.path({
    describe:
      'Where to work, in a new directory that is removed; by default the temporary directory, if on a disk',
    placeholder: 'DIR',
  }),
  seed: option.integer({ min: 0, max: 2 ** 32 - 1 })({
    describe: 'Decides the order and the contents; by default any',
  }),
  output: option.path({
    describe: 'The file for the results; by default a new one in bench/results',
    placeholder: 'FILE',
  }),
  json: option.flag({ describe: 'Print the results as JSON instead of tables', default: 'no' }),
  report: option.texts({
    describe: 'Measure nothing; write docs/performance.md from these results, one file for each run',
    placeholder: 'FILE,…',
  }),
};

export type BenchOptions = ReturnType<typeof loadOptions>;

/**
 * @throws HoldfastError INVALID_ARGUMENT with every mistake
 * @throws ProgramOutput for `--help` and `--version`
 */
export function loadOptions(contenderNames: readonly string[], sources?: ConfigSources) {
  return loadConfig(
    {
      program: 'npm run bench --',
      version,
      describe: 'Measures Holdfast against named floors and peers: interleaved rounds, medians, ratios.',
      options,
      examples: [
        ['npm run bench', 'everything that is here, 5 rounds'],
        ['npm run bench -- --only big --replicas 2 --runs 7', 'one workload'],
        ['npm run bench -- --quick --runs 1', 'whether it works, in half a minute'],
        ['npm run bench -- --report bench/results/2026-11-20.json', 'the page with tables and plots'],
      ],
      check: ({ only = [], contenders = [], replicas = [] }) => [
        ...unknown('--replicas', replicas, ['1', '2', '3']),
        ...unknown('--only', only, workloads),
        ...unknown('--contenders', contenders, contenderNames),
      ],
    },
    sources,
  );
}

function unknown(flag: string, given: readonly string[], known: readonly string[]): string[] {
  return given
    .filter((name) => !known.includes(name))
    .map((name) => `${flag}: "${name}" is none of ${known.join(', ')}`);
}
