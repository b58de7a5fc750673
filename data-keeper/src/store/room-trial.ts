/**
 * Whether a file system that had no room takes bytes again.
 *
 * The failure it answers: how much is free is no answer. A quota, thin provisioning or blocks that are given out only
 * when they are written refuse bytes where the file system says that there is plenty. So a keeper that was refused some
 * takes no pieces until a file that is written and synced for nothing else is taken.
 */
import { type Clock, type FileSystem, type OpenFile, type Random } from '@holdfast/shared';
import { join } from 'node:path';
import { names } from './data-directory.js';
import type { StorageHealth } from './disk-error.js';

/** Enough for blocks to be given out; little enough to be written every few seconds for as long as it takes. */
const trialBytes = 1024 * 1024;
/** A full disk is full for minutes or days, and each trial costs a sync. */
const trialIntervalMs = 5_000;

export interface RoomTrialParts {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  readonly health: StorageHealth;
  readonly dataDir: string;
}

export class RoomTrial {
  readonly #parts: RoomTrialParts;
  #triedMs = -Infinity;

  constructor(parts: RoomTrialParts) {
    this.#parts = parts;
  }

  /** Tries, if the storage counts as full and was not tried just now. A failure is the storage's, not the caller's. */
  async make(): Promise<void> {
    const { fileSystem, clock, random, health, dataDir } = this.#parts;
    if (!health.isFull || health.failure || clock.monotonicMs() - this.#triedMs < trialIntervalMs) return;
    this.#triedMs = clock.monotonicMs();
    // A new file each time: the sync of one that failed is never asked for again.
    const path = join(dataDir, names.tmp, `room.${random.bytes(8).toString('hex')}`);
    try {
      await writeDurably(await fileSystem.open(path, 'create'), health);
      health.foundRoom();
      this.#triedMs = -Infinity;
    } catch (error) {
      health.failed(error, 'cannot try for room');
    } finally {
      await fileSystem.unlink(path).catch(() => undefined);
    }
  }
}

async function writeDurably(file: OpenFile, health: StorageHealth): Promise<void> {
  try {
    await file.write(Buffer.alloc(trialBytes, 0xff), 0);
    await file.syncData().catch((error: unknown) => {
      throw health.contentSyncFailed(error, 'cannot try for room');
    });
  } finally {
    await file.close();
  }
}
