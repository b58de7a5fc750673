/**
 * The program `npm run bench:resume`: uploads and downloads of one file that are killed at points of the way, each once
 * and then one at all of them, and run again. What they end with must be identical, and what was sent in all little more than the file.
 */
import { loadConfig, option, runProgram } from '@holdfast/shared/program';
import { startProcessCluster } from '@holdfast/local-cluster';
import { HoldfastError } from '@holdfast/shared';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { clientProgram } from '../holdfast/command-line.js';
import { sha256OfFile, writeSourceFile } from '../machine/files.js';
import { workingDirectory } from '../machine/working-directory.js';
import { markdownTable } from '../report/tables.js';
import { figure } from '../report/words.js';
import { version } from '../version.js';

/** Servers end in order; then the data goes. */
const stopLimitMs = 30_000;
/** More than this part of the file beside it is a defect: ten chunks of 16 MiB of 2 GiB are a twelfth. */
const allowedRatio = 1.1;
/** Often enough for a thousandth of a file of gigabytes. */
const lookEveryMs = 5;

const spec = {
  program: 'npm run bench:resume --',
  version,
  describe:
    'Kills an upload and a download with SIGKILL at points all along the way and runs each again: identical, and how many bytes were sent. Linux only.',
  options: {
    size: option.size({ min: '64MiB', max: '64GiB' })({ describe: 'The file', default: '2GiB' }),
    points: option.integer({ min: 1, max: 100 })({
      describe: 'At how many points',
      default: '10',
    }),
    dataDir: option.path({
      describe: 'Where to work, in a new directory that is removed; four times the size',
      placeholder: 'DIR',
    }),
  },
  examples: [
    ['npm run bench:resume', '2 GiB at ten points'],
    ['npm run bench:resume -- --size 256MiB --points 3', 'whether it works'],
  ],
} as const;

/** What one process moved over its sockets, of which files are a small part or known. */
interface Moved {
  readonly bytes: number;
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a process wrote in all, as Linux counts it: to sockets and files. */
async function writtenBytes(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8');
  return Number(/^wchar: (\d+)$/m.exec(text)?.[1] ?? 0);
}

async function sumOf(pids: readonly number[]): Promise<number> {
  return (await Promise.all(pids.map(writtenBytes))).reduce((sum, bytes) => sum + bytes, 0);
}

void runProgram({
  name: 'bench:resume',
  stopLimitMs,
  async start({ signal }) {
    const { size, points, dataDir } = loadConfig(spec);
    const directory = await workingDirectory(dataDir);
    const cluster = await startProcessCluster({ dataDir: join(directory, 'cluster'), keepers: 3 });
    try {
      const source = await writeSourceFile(join(directory, 'source'), size, 1);
      const target = join(directory, 'target');
      const keepers = cluster.keepers.map(({ pid = 0 }) => pid);
      const client = await cluster.connect();

      /** @param killAtBytes where to kill it; `sent` tells how far it is */
      const command = async (
        words: readonly string[],
        sent: (child: ChildProcess) => Promise<number>,
        killAtBytes = Infinity,
      ): Promise<Moved> => {
        const args = [clientProgram, ...words, '--json', '--force', '--tracker', cluster.trackerAddress];
        const env = { ...process.env, XDG_STATE_HOME: join(directory, 'state') };
        const child: ChildProcess = spawn(process.execPath, args, {
          ...{ env, signal },
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let [stdout, stderr, bytes] = ['', '', 0];
        child.stdout?.on('data', (data: Buffer) => (stdout += data.toString()));
        child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
        const ended = once(child, 'close');
        while (child.exitCode === null && child.signalCode === null) {
          bytes = Math.max(bytes, await sent(child).catch(() => 0));
          if (bytes >= killAtBytes) {
            // Stopped first, so that nothing moves between the count and the end.
            child.kill('SIGSTOP');
            bytes = await sent(child);
            child.kill('SIGKILL');
            break;
          }
          await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
        }
        await ended;
        return { bytes, status: child.exitCode, stdout, stderr };
      };
      /** Kills it each time that what it sent in all passes a point, and lets the last one end. */
      const interrupted = async (
        words: readonly string[],
        sent: () => (child: ChildProcess) => Promise<number>,
        killedAt: readonly number[],
      ) => {
        let sentBytes = 0;
        for (const at of killedAt) {
          const killed = await command(words, sent(), at * size - sentBytes);
          if (killed.status !== null)
            throw new HoldfastError('INTERNAL', `${words.join(' ')} ended before it was killed at ${at}`);
          sentBytes += killed.bytes;
        }
        const last = await command(words, sent());
        if (last.status !== 0)
          throw new HoldfastError('INTERNAL', `${words.join(' ')}: status ${last.status}: ${last.stderr}`);
        const { resumedBytes = 0 } = JSON.parse(last.stdout) as { resumedBytes?: number };
        return { ratio: (sentBytes + last.bytes) / size, resumed: resumedBytes / size };
      };

      const rows: string[][] = [];
      let isGood = true;
      const each = Array.from({ length: points }, (_, index) => (index + 1) / (points + 1));
      // One transfer for each point, and one that is killed at all of them.
      for (const killedAt of [...each.map((at) => [at]), each]) {
        // One copy: what a client sends is the same, and it takes a third of the time.
        const up = ['upload', source.path, '/file', '--replicas', '1', '--min-write', '1'];
        const sentByClient = () => (child: ChildProcess) => writtenBytes(child.pid ?? 0);
        const upload = await interrupted(up, sentByClient, killedAt);
        const sentByKeepers = () => {
          const before = sumOf(keepers);
          return async () => (await sumOf(keepers)) - (await before);
        };
        const download = await interrupted(['download', '/file', target], sentByKeepers, killedAt);
        const identical = (await sha256OfFile(target)) === source.sha256;
        isGood &&= identical && upload.ratio <= allowedRatio && download.ratio <= allowedRatio;
        const cells = [upload.resumed, upload.ratio, download.resumed, download.ratio].map((value) =>
          figure(value),
        );
        const point = killedAt.length === 1 ? figure(killedAt[0] ?? 0) : 'all of them';
        const row = [point, ...cells, identical ? 'yes' : 'NO'];
        rows.push(row);
        process.stderr.write(`${row.join('  ')}\n`);
        await rm(target);
        await client.remove('/file');
        await client.emptyTrash();
      }
      const head = ['killed at', 'upload: resumed', 'sent', 'download: resumed', 'sent', 'identical'];
      process.stdout.write(`${markdownTable(head, rows)}\n`);
      if (!isGood) process.stderr.write('FAILED: not identical, or too many bytes\n');
      return isGood ? 0 : 1;
    } finally {
      await cluster.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    }
  },
});
