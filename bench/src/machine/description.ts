/** The machine that was measured, as far as figures depend on it, and without its name. */
import { statfs } from 'node:fs/promises';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { createRequire } from 'node:module';
import { command } from './command.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly kernel: string;
  /** Of the directory that the bench worked in: type and mount options where they can be learnt. */
  readonly fileSystem: string;
  readonly node: string;
  /** Packages and programs that took part, by name. */
  readonly versions: Readonly<Record<string, string>>;
}

/** statfs(2) types of file systems in memory: what is on them is never on stable storage. */
const inMemory = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);

/** Whether a directory is on a file system in memory. */
export async function isInMemory(directory: string): Promise<boolean> {
  return inMemory.has((await statfs(directory)).type);
}

async function fileSystemOf(directory: string): Promise<string> {
  const found = await command('findmnt', '-no', 'FSTYPE,OPTIONS', '--target', directory).catch(() => '');
  return found.trim().replace(/\s+/g, ' ') || `type 0x${(await statfs(directory)).type.toString(16)}`;
}

/** Describes this machine, with `directory` as the place of the data and `versions` of what else takes part. */
export async function describeMachine(
  directory: string,
  versions: Readonly<Record<string, string>>,
): Promise<Machine> {
  const require = createRequire(import.meta.url);
  const grpc = require('@grpc/grpc-js/package.json') as { version: string };
  const [cpu] = cpus();
  return {
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    platform: `${platform()} ${arch()}`,
    kernel: release(),
    fileSystem: await fileSystemOf(directory),
    node: process.versions.node,
    versions: { '@grpc/grpc-js': grpc.version, ...versions },
  };
}
