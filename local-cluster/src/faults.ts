/** Faults by name, for tests of what an application does when its storage fails. */
import { HoldfastError, errnoOf } from '@holdfast/shared';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gate } from './gate.js';

/**
 * - `kill`: ends as in a power cut; it comes back with its data when the fault ends;
 * - `partition`: nobody reaches it and it does not reach the tracker; connections stay open and silent;
 * - `slow`: all that it is sent and sends takes `delayMs` longer for each 64 KiB;
 * - `full`: its disk takes nothing more (keepers);
 * - `corrupt`: one byte of each piece that it has is another now (keepers). That stays when the fault ends: the
 *   cluster finds it and mends it.
 */
export type FaultName = 'kill' | 'partition' | 'slow' | 'full' | 'corrupt';

export interface FaultOptions {
  /** Of `slow`; default 200. */
  readonly delayMs?: number;
}

/**
 * A fault that lasts until it is ended: `await using fault = await keeper.fault('slow')` ends it with its block. A server
 * that is started again is without `partition`, `slow` and `full`.
 */
export interface Fault extends AsyncDisposable {
  readonly name: FaultName;
  /** Ends it. May be called more than once; `kill` resolves when the server is up again. */
  end(): Promise<void>;
}

/** What a launcher offers beside starting and ending a server. */
export interface FaultControls {
  /** What its peers come through, and of a keeper then that through which it goes to its tracker. */
  readonly gates: readonly Gate[];
  partition(isCutOff: boolean): void;
  slow(delayMs: number): void;
  /** Keepers in this process only. */
  readonly full?: (isFull: boolean) => void;
}

/** The server that a fault befalls. */
export interface FaultTarget {
  readonly name: string;
  readonly dataDir: string;
  /** Of a cluster that was started with `faults`, while it runs. */
  readonly controls: FaultControls | undefined;
  kill(): Promise<void>;
  start(): Promise<void>;
}

const defaultDelayMs = 200;

/** @throws HoldfastError INVALID_ARGUMENT if the cluster or this server does not offer the fault */
export async function bringAbout(
  target: FaultTarget,
  name: FaultName,
  { delayMs = defaultDelayMs }: FaultOptions,
): Promise<Fault> {
  const undo = await begin(target, name, delayMs);
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => (ended ??= undo());
  return { name, end, [Symbol.asyncDispose]: end };
}

async function begin(target: FaultTarget, name: FaultName, delayMs: number): Promise<() => Promise<void>> {
  switch (name) {
    case 'kill':
      await target.kill();
      return () => target.start();
    case 'corrupt':
      await corruptPieces(target);
      return async () => undefined;
    case 'partition': {
      const controls = controlsOf(target, name);
      controls.partition(true);
      return async () => controls.partition(false);
    }
    case 'slow': {
      const controls = controlsOf(target, name);
      controls.slow(delayMs);
      return async () => controls.slow(0);
    }
    case 'full': {
      const { full } = controlsOf(target, name);
      if (!full)
        throw notOffered(target, name, 'Only keepers in this process have a disk that can be filled.');
      full(true);
      return async () => full(false);
    }
  }
}

function controlsOf(target: FaultTarget, name: FaultName): FaultControls {
  if (target.controls) return target.controls;
  throw notOffered(target, name, 'Start the cluster with `faults: true`, and this server with it.');
}

function notOffered({ name }: FaultTarget, fault: FaultName, remedy: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', `the fault "${fault}" cannot befall ${name}`, { remedy });
}

/** Where the bytes of a piece begin in its file (docs/formats/chunk-file.md). */
const dataAt = 4_096;

async function corruptPieces(target: FaultTarget): Promise<void> {
  const folder = join(target.dataDir, 'chunks');
  const names = await readdir(folder, { recursive: true }).catch(() => {
    throw notOffered(target, 'corrupt', 'Only keepers have pieces.');
  });
  for (const name of names.filter((each) => /[0-9a-f]{32}\.\d+$/.test(each))) {
    const file = await open(join(folder, name), 'r+').catch((error: unknown) => {
      // The keeper may trash it just now.
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (!file) continue;
    try {
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, dataAt);
      // Not by turning its bits over: what is corrupted twice must not be whole again.
      byte.writeUInt8((byte.readUInt8() + 1) % 256);
      await file.write(byte, 0, 1, dataAt);
    } finally {
      await file.close();
    }
  }
}
