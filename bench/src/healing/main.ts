/** The program `npm run bench:healing`: how long a cluster takes to heal after kill -9 of a keeper, and at what cost. */
import { HoldfastError } from '@holdfast/shared';
import { loadConfig, option, runProgram } from '@holdfast/shared/program';
import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { describeMachine } from '../machine/description.js';
import { fillPageCache } from '../machine/page-cache.js';
import { workingDirectory } from '../machine/working-directory.js';
import { markdownTable } from '../report/tables.js';
import { figure } from '../report/words.js';
import { writeNamedResults } from '../results.js';
import { version } from '../version.js';
import { type Floors, measureFloors } from './floors.js';
import { type Healing, measureHealing, neededBytes } from './healing.js';
import { fileBytes } from './layout.js';

/** Servers get up to 15 s to end in order; then the data goes. */
const stopLimitMs = 30_000;

const spec = {
  program: 'npm run bench:healing --',
  version,
  describe:
    'Four keepers, three copies, kill -9 of one: how long until every chunk has three copies again, alone and while clients upload and read.',
  options: {
    size: option.size({ min: '1MiB', max: '64GiB' })({ describe: 'What is stored before', default: '2GiB' }),
    smallFiles: option.size({ min: '1KiB', max: '4MiB' })({
      describe: 'Stores small files of this size instead, and heals alone only; takes a smaller --size',
      placeholder: 'SIZE',
    }),
    deadAfter: option.duration({ min: '4s', max: '10m' })({
      describe: 'The silence after which the keeper is dead; the default of the product is 30s',
      default: '30s',
    }),
    repairRate: option.size({ max: '1TiB' })({
      describe: "The tracker's option: what repair may bring to each keeper in a second; 0 for no limit",
    }),
    dataDir: option.path({
      describe: 'Where to work, in a new directory that is removed; four times the size and 12 GiB at most',
      placeholder: 'DIR',
    }),
    output: option.path({
      describe: 'The file for the results; by default a new one in bench/results',
      placeholder: 'FILE',
    }),
  },
  examples: [
    ['npm run bench:healing', '2 GiB'],
    ['npm run bench:healing -- --repair-rate 0', 'as fast as it can'],
    ['npm run bench:healing -- --size 256MiB --dead-after 5s', 'whether it works, in a minute'],
    ['npm run bench:healing -- --size 32MiB --small-files 16KiB --dead-after 5s', '2,048 small files'],
  ],
} as const;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function tablesOf(floors: Floors, quiet: Healing, loaded: Healing | undefined): string {
  const seconds = (ms: number): string => `${figure(ms / 1000)} s`;
  const rate = (value: number | undefined): string => (value === undefined ? '' : `${figure(value)} MB/s`);
  const row = (what: string, cell: (healing: Healing) => string): string[] => [
    what,
    cell(quiet),
    ...(loaded ? [cell(loaded)] : []),
  ];
  const healing = markdownTable(
    ['after kill -9', 'alone', ...(loaded ? ['clients upload and read'] : [])],
    [
      row('dead', ({ deadMs }) => seconds(deadMs)),
      row('first copy ordered', ({ firstOrderMs }) => seconds(firstOrderMs)),
      row('first copy made', ({ firstCopyMs }) => seconds(firstCopyMs)),
      row('healed', ({ healedMs }) => seconds(healedMs)),
      row('copied', ({ lostPieces, lostBytes }) => `${lostPieces} pieces, ${figure(lostBytes / 1e6)} MB`),
      row('repair', ({ repairMbPerSecond }) => rate(repairMbPerSecond)),
      row('repair, pieces', ({ repairPiecesPerSecond }) => `${figure(repairPiecesPerSecond)} /s`),
    ],
  );
  const phases = {
    before: 'before',
    silence: 'until it is dead',
    repair: 'while copies are made',
    after: 'after',
  };
  const clients = markdownTable(
    ['clients', 'upload', 'read', 'failed uploads', 'failed reads'],
    Object.entries(phases).flatMap(([phase, words]) => {
      const of = loaded?.load?.[phase as keyof typeof phases];
      if (!of) return [];
      const counts = [String(of.failedUploads), String(of.failedReads)];
      return [[words, rate(of.uploadMbPerSecond), rate(of.readMbPerSecond), ...counts]];
    }),
  );
  const machine = markdownTable(
    ['the machine by itself', 'rate'],
    [
      ['loopback, one TCP stream', rate(floors.loopbackMbPerSecond)],
      ['disk, cp and sync', rate(floors.diskMbPerSecond)],
    ],
  );
  return [healing, ...(loaded ? [clients] : []), machine].join('\n\n');
}

void runProgram({
  name: 'bench:healing',
  stopLimitMs,
  async start({ signal }) {
    const { size, smallFiles, deadAfter, repairRate, dataDir, output } = loadConfig(spec);
    const startedAt = new Date().toISOString();
    const directory = await workingDirectory(dataDir);
    try {
      const { bavail, bsize } = await statfs(directory);
      if (bavail * bsize < neededBytes(size)) {
        throw new HoldfastError(
          'OUT_OF_SPACE',
          `${directory} has less room than ${neededBytes(size)} bytes`,
          {
            remedy: 'Name another place with --data-dir, or a smaller --size.',
          },
        );
      }
      await fillPageCache(directory);
      const floors = await measureFloors(directory);
      const once = async (underLoad: boolean): Promise<Healing> => {
        const clusterDir = join(directory, 'cluster');
        await mkdir(clusterDir);
        await fillPageCache(directory);
        say(underLoad ? 'with clients that upload and read' : 'alone');
        try {
          const options = {
            ...{ dataDir: clusterDir, dataBytes: size },
            ...{ deadAfterMs: deadAfter, repairRateBytes: repairRate },
          };
          return await measureHealing({
            ...options,
            fileBytes: smallFiles ?? fileBytes,
            underLoad,
            signal,
            say,
          });
        } finally {
          await rm(clusterDir, { recursive: true, force: true, maxRetries: 5 });
        }
      };
      const alone = await once(false);
      const loaded = smallFiles === undefined ? await once(true) : undefined;
      process.stdout.write(`${tablesOf(floors, alone, loaded)}\n\n`);
      const machine = await describeMachine(directory, { holdfast: version });
      const options = {
        deadAfterMs: deadAfter,
        ...(repairRate !== undefined && { repairRateBytesPerS: repairRate }),
        ...(smallFiles !== undefined && { fileBytes: smallFiles }),
      };
      const results = { format: 1, startedAt, machine, ...options, floors, alone, loaded };
      say(`All figures are in ${await writeNamedResults('healing', startedAt, results, output)}`);
      const failedReads = Object.values(loaded?.load ?? {}).reduce(
        (sum, phase) => sum + phase.failedReads,
        0,
      );
      if (failedReads > 0) say(`FAILED: ${failedReads} reads failed; none may`);
      return failedReads === 0 ? 0 : 1;
    } finally {
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  },
});
