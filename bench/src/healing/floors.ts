/** What this disk and this loopback can do by themselves, in the same minutes: copies are bounded by both. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Child } from '../children/child.js';
import { cp } from '../floors/cp.js';
import type { TcpMethods } from '../floors/tcp-process.js';
import { writeSourceFile } from '../machine/files.js';
import { nodeSettings } from '../node-settings.js';

const tcpModule = new URL('../floors/tcp-process.js', import.meta.url);
/** Some seconds of either. */
const floorBytes = 1024 ** 3;

export interface Floors {
  /** One stream over TCP, from process to process. */
  readonly loopbackMbPerSecond: number;
  /** `cp` of a file that is in the page cache, and `sync` of the copy; undefined where there is no GNU cp. */
  readonly diskMbPerSecond: number | undefined;
}

export async function measureFloors(dataDir: string): Promise<Floors> {
  return { loopbackMbPerSecond: await loopback(), diskMbPerSecond: await disk(dataDir) };
}

async function rate(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return floorBytes / 1e3 / (performance.now() - startMs);
}

async function loopback(): Promise<number> {
  const children: Child<TcpMethods>[] = [];
  const start = async (): Promise<Child<TcpMethods>> => {
    const child = await Child.start<TcpMethods>(tcpModule, nodeSettings);
    children.push(child);
    return child;
  };
  try {
    const [receiver, sender] = [await start(), await start()];
    const port = await receiver.call('receive');
    await sender.call('send', port, floorBytes / 4); // warm
    return await rate(() => sender.call('send', port, floorBytes));
  } finally {
    for (const child of children) await child.stop();
  }
}

async function disk(dataDir: string): Promise<number | undefined> {
  if ((await cp.unavailable()) !== undefined) return undefined;
  const folder = join(dataDir, 'floor');
  await mkdir(folder);
  try {
    const source = await writeSourceFile(join(folder, 'source'), floorBytes, 1);
    const running = await cp.start({ dataDir: folder, replicas: 1, keepers: 0, sync: true });
    return await rate(() => running.upload(source.path, 'copy'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
