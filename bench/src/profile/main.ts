/** The program `npm run bench:profile`: where the CPU time of the product's processes goes under the standard load. */
import { HoldfastError } from '@holdfast/shared';
import { loadConfig, option, runProgram } from '@holdfast/shared/program';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { version } from '../version.js';
import { fillPageCache } from '../machine/page-cache.js';
import { profileLoad } from './profile.js';
import { perfUnavailable } from './perf.js';
import type { ProfileSummary } from './summary.js';
import { tablesOf } from './tables.js';

const spec = {
  program: 'npm run bench:profile --',
  version,
  describe:
    'Records CPU profiles of client, keepers and tracker while a file goes up and down, and says where the time goes.',
  options: {
    size: option.size({ min: '1MiB', max: '16GiB' })({ describe: 'The file', default: '1GiB' }),
    replicas: option.integer({ min: 1, max: 3 })({ describe: 'Copies of it', default: '2' }),
    output: option.path({
      describe: 'Where the .cpuprofile files and summary.json go; by default .build/profile',
      placeholder: 'DIR',
    }),
    dataDir: option.path({
      describe: 'Where to work, in a new directory that is removed; by default the temporary directory',
      placeholder: 'DIR',
    }),
    perf: option.flag({
      describe: "Also Linux's perf, which sees the kernel and native code; mostly needs root",
      default: 'no',
    }),
  },
  examples: [
    ['npm run bench:profile', '1 GiB, 2 copies'],
    ['npm run bench:profile -- --size 256MiB --perf', 'a smaller file, and what the kernel does'],
  ],
} as const;

/** Servers get up to 15 s to end in order; then the data goes. */
const stopLimitMs = 30_000;
/** Of less the memory is not worth preparing: it shows where the time goes, not how much of it. */
const standardSizeBytes = 1024 ** 3;
const defaultOutput = fileURLToPath(new URL('../../../.build/profile', import.meta.url));

void runProgram({
  name: 'bench:profile',
  stopLimitMs,
  async start({ signal }) {
    const config = loadConfig(spec);
    if (process.platform !== 'linux') {
      throw new HoldfastError(
        'INVALID_ARGUMENT',
        'profiles need Linux, which tells the CPU time of every thread',
      );
    }
    const reason = config.perf ? await perfUnavailable() : undefined;
    if (reason !== undefined) {
      throw new HoldfastError('INVALID_ARGUMENT', `perf cannot record here: ${reason}`, {
        remedy: 'Install perf, and run as root or lower kernel.perf_event_paranoid; or leave --perf out.',
      });
    }
    const outputDir = resolve(config.output ?? defaultOutput);
    await mkdir(outputDir, { recursive: true });
    const dataDir = await mkdtemp(join(resolve(config.dataDir ?? tmpdir()), 'holdfast-profile-'));
    try {
      const { size: sizeBytes, replicas, perf } = config;
      if (sizeBytes >= standardSizeBytes) await fillPageCache(dataDir);
      const recordedAt = new Date().toISOString();
      const steps = await profileLoad({ sizeBytes, replicas, perf, dataDir, outputDir, signal });
      const summary: ProfileSummary = {
        format: 1,
        recordedAt,
        node: process.version,
        sizeBytes,
        replicas,
        steps,
      };
      await writeFile(join(outputDir, 'summary.json'), `${JSON.stringify(summary, undefined, 1)}\n`);
      process.stdout.write(`${tablesOf(summary)}\n`);
      process.stderr.write(
        `The profiles (.cpuprofile, for any DevTools) and summary.json are in ${outputDir}\n`,
      );
    } finally {
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    }
  },
});
