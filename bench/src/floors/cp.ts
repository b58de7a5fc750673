/**
 * The floor without a network: `cp` to as many directories as there are copies, side by side, each copy followed
 * by `sync FILE`. What any program that stores files can reach at best on this disk.
 */
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender, ContenderOptions, RunningContender } from '../contender.js';
import { command } from '../machine/command.js';

export const cp: Contender = {
  name: 'cp',
  abilities: ['trees'],
  async unavailable() {
    // `sync FILE` is GNU's (8.24 and later); elsewhere `sync` takes no names and syncs the whole machine.
    const version = await command('sync', '--version').catch(() => '');
    return version.includes('GNU coreutils') ? undefined : 'needs cp and sync of GNU coreutils';
  },
  async version() {
    return (await command('cp', '--version')).split('\n', 1)[0] ?? '';
  },
  start: startCp,
};

const copy = 'cp -- "$1" "$2"';
const copyAndSync = `${copy} && sync -- "$2"`;

async function startCp({ dataDir, replicas, sync }: ContenderOptions): Promise<RunningContender> {
  const folders = Array.from({ length: replicas }, (_, index) => join(dataDir, `copy-${index + 1}`));
  await Promise.all(folders.map((folder) => mkdir(folder)));
  const [first = dataDir] = folders;
  const script = sync ? copyAndSync : copy;
  const run = (from: string, to: string): Promise<string> => command('sh', '-c', script, 'sh', from, to);
  return {
    async upload(localPath, name) {
      await Promise.all(folders.map((folder) => run(localPath, join(folder, name))));
    },
    async download(name) {
      const path = join(first, name);
      // Reads every byte into memory and drops it; `cat` to /dev/null may not read at all.
      await command('dd', `if=${path}`, 'of=/dev/null', 'bs=1M', 'status=none');
      return (await stat(path)).size;
    },
    async downloadToFile(name, localPath) {
      await run(join(first, name), localPath);
    },
    async remove(name) {
      await Promise.all(folders.map((folder) => rm(join(folder, name))));
    },
    async uploadTree(localDir, name) {
      const copies = folders.map((folder) => command('cp', '-r', '--', localDir, join(folder, name)));
      await Promise.all(copies);
      if (sync) await command('sync', '-f', dataDir);
    },
    async downloadTree(name, localDir) {
      await command('cp', '-r', '--', join(first, name), localDir);
      if (sync) await command('sync', '-f', localDir);
    },
    processes: () => [],
    stop: () => Promise.resolve(),
  };
}
