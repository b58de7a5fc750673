/** The product's command line: a fresh process for each transfer, with its start and its connecting. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Contender, RunningContender } from '../contender.js';
import { command } from '../machine/command.js';
import { startCluster } from './cluster.js';

/** The launcher script, as npm's own links would find it. */
export const clientProgram = join(
  dirname(createRequire(import.meta.url).resolve('@holdfast/client')),
  ...['..', 'bin', 'client.cjs'],
);

/** All copies are durable when it returns. */
export function copiesFlags(replicas: number): string[] {
  return ['--replicas', String(replicas), '--min-write', String(replicas)];
}

/** Runs the command line against a tracker, and resolves to what it printed. */
export function runClient(trackerAddress: string, ...words: readonly string[]): Promise<string> {
  return command(process.execPath, clientProgram, ...words, '--tracker', trackerAddress);
}

export const commandLine: Contender = {
  name: 'holdfast-cli',
  alwaysSyncs: true,
  copies: [2], // it differs from the library by its start, whatever the number of copies
  unavailable: () => Promise.resolve(undefined),
  async start({ replicas, ...options }) {
    const cluster = await startCluster(options);
    const client = (...words: readonly string[]): Promise<string> =>
      runClient(cluster.trackerAddress, ...words);
    const copies = copiesFlags(replicas);
    const running: RunningContender = {
      async upload(localPath, name) {
        await client('upload', localPath, `/${name}`, ...copies);
      },
      async download(name) {
        // Something has to read what the command writes; `wc` does nothing else with it.
        const script = '"$@" | wc -c';
        const words = [
          process.execPath,
          clientProgram,
          'cat',
          `/${name}`,
          '--tracker',
          cluster.trackerAddress,
        ];
        return Number(await command('sh', '-c', script, 'sh', ...words));
      },
      async downloadToFile(name, localPath) {
        await client('download', `/${name}`, localPath, '--force');
      },
      async remove(name) {
        await client('rm', `/${name}`);
      },
      processes: () => cluster.processes(),
      stop: () => cluster.stop(),
    };
    return running;
  },
};
