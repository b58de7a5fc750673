/** Brings about what was planned, in real processes, real connections and real disks, and ends it. */
import type { Cluster, GateFault, Member } from '@holdfast/local-cluster';
import { partsOf } from '@holdfast/simulation';
import { open, readFile, readdir, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { storedPieces } from '../../support/keeper-disk.js';
import type { LoopDisk } from '../../support/loop-disk.js';
import { type Numbers, numbersFrom, pick } from '../../support/seeded-numbers.js';
import { waitFor } from '../../support/wait.js';
import type { FaultKind, PlannedFault } from './plan.js';

/** Where faults happen. */
export interface Scene {
  readonly cluster: Cluster;
  /** The first keeper's, if it has one of its own. */
  readonly disk: LoopDisk | undefined;
}

interface Circumstances extends Scene {
  readonly member: Member;
  readonly numbers: Numbers;
}

type End = () => Promise<void>;
type Act = (circumstances: Circumstances) => Promise<End>;

/** A start waits for the tracker, which may be hit as well. */
const startLimitMs = 120_000;

async function started(member: Member): Promise<void> {
  await waitFor(`${member.name} to start`, () => member.start().then(() => true), startLimitMs);
}

/** Ends a process, does something to what it stored, and starts it again when the fault is over. */
const whileDown =
  (change: (circumstances: Circumstances) => Promise<unknown>): Act =>
  async (circumstances) => {
    const { member } = circumstances;
    await member.kill();
    await change(circumstances);
    return () => started(member);
  };

/** A fault of the gate to it, of that to its tracker, or of both. */
const atGates =
  (faultOf: (numbers: Numbers) => GateFault): Act =>
  async ({ member, numbers }) => {
    const all = member.controls?.gates ?? [];
    const gates = all.length > 1 ? pick(numbers, [all, all.slice(0, 1), all.slice(1)]) : all;
    for (const gate of gates) gate.fault = faultOf(numbers);
    return async () => {
      for (const gate of gates) gate.fault = {};
    };
  };

/** In place: the keeper may have the file open. */
async function flipBit(path: string, numbers: Numbers): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const bytes = await file.readFile();
    const { data, table } = partsOf(bytes);
    if (table === data) return;
    const position = data + numbers(table - data);
    await file.write(Buffer.of(bytes[position]! ^ (1 << numbers(8))), 0, 1, position);
  } finally {
    await file.close();
  }
}

async function damage(path: string, numbers: Numbers): Promise<void> {
  const file = await readFile(path);
  const way = numbers(6);
  if (way === 0) await truncate(path, numbers(file.length));
  if (way === 1) await writeFile(path, Buffer.concat([file, Buffer.of(0)]));
  if (way === 2) await writeFile(path, file.fill(0, 0, 1 + numbers(200)));
}

const acts: Readonly<Record<FaultKind, Act>> = {
  killed: whileDown(async () => undefined),
  async 'stopped in order'({ member }) {
    await member.stop();
    return () => started(member);
  },
  async frozen({ member: { pid } }) {
    process.kill(pid!, 'SIGSTOP');
    return async () => void process.kill(pid!, 'SIGCONT');
  },
  silent: atGates(() => ({ silent: 'both' })),
  deaf: atGates(() => ({ silent: 'in' })),
  mute: atGates(() => ({ silent: 'out' })),
  'silent on half of its connections': atGates((numbers) => ({
    silent: 'both',
    befalls: () => numbers(2) === 0,
  })),
  'behind a narrow link': atGates((numbers) => ({ bytesPerS: 20_000 * (1 + numbers(50)) })),
  'behind a long link': atGates((numbers) => ({ delayMs: 20 + numbers(300) })),
  'reset after some bytes': atGates((numbers) => ({ resetAfterBytes: () => numbers(1_000_000) })),
  refusing: atGates(() => ({ resetAfterBytes: () => 0 })),
  // What tests/support/shifted-clock.mjs makes of the signal. It keeps its time when the fault is over.
  async 'given another time'({ member: { pid } }) {
    process.kill(pid!, 'SIGUSR2');
    return async () => undefined;
  },
  wiped: whileDown(async ({ member: { dataDir } }) => {
    // The directory itself may be where a disk is mounted.
    for (const name of await readdir(dataDir)) {
      if (name !== 'lost+found') await rm(join(dataDir, name), { recursive: true });
    }
  }),
  'without some pieces': whileDown(async ({ member: { dataDir }, numbers }) => {
    for (const { path } of await storedPieces(dataDir)) if (numbers(3) === 0) await unlink(path);
  }),
  'without a shard': async ({ member: { dataDir }, numbers, member }) => {
    const pieces = await storedPieces(dataDir);
    if (pieces.length > 0) await rm(dirname(pick(numbers, pieces).path), { recursive: true });
    return async () => {
      await member.stop();
      await started(member);
    };
  },
  'with damaged pieces': whileDown(async ({ member: { dataDir }, numbers }) => {
    for (const { path } of await storedPieces(dataDir)) await damage(path, numbers);
  }),
  async 'with flipped bits'({ member: { dataDir }, numbers }) {
    for (const { path } of await storedPieces(dataDir)) {
      // It may be given up meanwhile.
      if (numbers(6) === 0) await flipBit(path, numbers).catch(ignoreMissing);
    }
    return async () => undefined;
  },
  async full({ disk }) {
    await disk!.fill();
    return () => disk!.freeAll();
  },
  async 'on a frozen disk'({ disk }) {
    await disk!.freeze();
    return () => disk!.thaw();
  },
  async 'on a disk without reads'({ disk, member: { pid } }) {
    await disk!.hangReads(pid!);
    return () => disk!.releaseReads();
  },
  async 'all killed'({ cluster }) {
    await cluster.killAll();
    return () => startedAll(cluster);
  },
  async 'restarted one after the other'({ cluster }) {
    for (const member of [...cluster.keepers, cluster.tracker]) {
      await member.stop();
      await started(member);
    }
    return async () => undefined;
  },
};

async function startedAll({ tracker, keepers }: Cluster): Promise<void> {
  await started(tracker);
  await Promise.all(keepers.map(started));
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

/** Resolves when the fault is there, to what ends it. */
export function bringAbout({ kind, victim, seed }: PlannedFault, scene: Scene): Promise<End> {
  const { tracker, keepers } = scene.cluster;
  const member = typeof victim === 'number' ? keepers[victim] : tracker;
  if (!member) throw new Error(`there is no keeper ${victim}`);
  return acts[kind]({ ...scene, member, numbers: numbersFrom(seed) });
}
