/** What a process holds, as the kernel counts it: what leaks shows here, whatever the program says of itself. */
import { readFile, readdir, readlink } from 'node:fs/promises';

export interface Footprint {
  readonly residentBytes: number;
  /** Open files, sockets and the like. */
  readonly descriptors: number;
  /** Of these, sockets. */
  readonly sockets: number;
  readonly threads: number;
}

/** Of a process of this machine; undefined where there is no /proc. @throws Error ENOENT if it is gone */
export async function footprintOf(pid: number): Promise<Footprint | undefined> {
  if (process.platform !== 'linux') return undefined;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  const folder = `/proc/${pid}/fd`;
  // What is closed meanwhile is not open.
  const targets = await Promise.all(
    (await readdir(folder)).map((name) => readlink(`${folder}/${name}`).catch(() => undefined)),
  );
  const open = targets.filter((target) => target !== undefined);
  return {
    residentBytes: field('VmRSS') * 1024,
    descriptors: open.length,
    sockets: open.filter((target) => target.startsWith('socket:')).length,
    threads: field('Threads'),
  };
}
