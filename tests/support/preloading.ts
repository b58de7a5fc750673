/** Servers of which leaks show: what is given up is soon gone. */
import { join } from 'node:path';
import { repository } from './command.js';

/** The environment that has a process of Node import these files of this directory before its program. */
export function preloading(...names: readonly string[]): Readonly<Record<string, string>> {
  const flags = names.map((name) => `--import=${join(repository, 'tests/support', name)}`);
  return {
    NODE_OPTIONS: flags.join(' '),
    // Blocks are longer. Where it is not told, the C library keeps what was freed of many at once, and no process is
    // seen to have given it up.
    MALLOC_MMAP_THRESHOLD_: String(64 * 1024),
  };
}
