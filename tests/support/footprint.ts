/** What a process holds, as the kernel counts it: what leaks shows here, whatever the program says of itself. */
import { readFile, readdir, stat } from 'node:fs/promises';

export interface Footprint {
  readonly residentBytes: number;
  /** Open files, pipes and the like. */
  readonly files: number;
  readonly sockets: number;
  readonly threads: number;
}

/** Of a process of this machine; undefined where there is no /proc. @throws Error ENOENT if it is gone */
export async function footprintOf(pid: number): Promise<Footprint | undefined> {
  if (process.platform !== 'linux') return undefined;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  const folder = `/proc/${pid}/fd`;
  const open = await Promise.all(
    // What is closed meanwhile is not open.
    (await readdir(folder)).map((name) => stat(`${folder}/${name}`).catch(() => undefined)),
  );
  const count = (isOne: (each: NonNullable<(typeof open)[number]>) => boolean): number =>
    open.filter((each) => each !== undefined && isOne(each)).length;
  return {
    residentBytes: field('VmRSS') * 1024,
    // A keeper keeps the directories open in which it stores: 256 at most, and more of them with every hour.
    files: count((each) => !each.isSocket() && !each.isDirectory()),
    sockets: count((each) => each.isSocket()),
    threads: field('Threads'),
  };
}
