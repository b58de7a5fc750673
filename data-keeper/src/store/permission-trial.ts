/**
 * Whether a keeper that was denied something may work in its data directory again.
 *
 * The failure it answers: somebody takes a permission away by mistake and gives it back, and the keeper, which was
 * refused once meanwhile, stays out of service until it is restarted. Where a permission is missing nothing was done,
 * so nothing is in doubt: it is enough to see that all is permitted now.
 */
import type { Clock, FileSystem } from '@holdfast/shared';
import { join } from 'node:path';
import { names, shards } from './data-directory.js';
import type { StorageHealth } from './disk-error.js';

/** A trial that succeeds is some 500 calls; one that fails ends at the first that does. */
const trialIntervalMs = 5_000;
/** No piece is called so. */
const trialName = 'permitted';

export interface PermissionTrialParts {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly health: StorageHealth;
  readonly dataDir: string;
}

export class PermissionTrial {
  readonly #parts: PermissionTrialParts;
  #triedMs = -Infinity;

  constructor(parts: PermissionTrialParts) {
    this.#parts = parts;
  }

  /** Tries, if the storage was denied something and it was not tried just now. Never rejects. */
  async make(): Promise<void> {
    const { clock, health } = this.#parts;
    if (!health.isDenied || clock.monotonicMs() - this.#triedMs < trialIntervalMs) return;
    this.#triedMs = clock.monotonicMs();
    try {
      await this.#tour();
    } catch {
      // What it is denied is known.
      return;
    }
    health.foundPermitted();
  }

  /** One empty file goes, as pieces do, through all directories that they are in; each is listed on the way. */
  async #tour(): Promise<void> {
    const { fileSystem, dataDir } = this.#parts;
    const stops = [...shards.map((shard) => join(names.chunks, shard)), names.trash, names.quarantine];
    const start = join(dataDir, names.tmp, trialName);
    if (await fileSystem.stat(start)) await fileSystem.unlink(start);
    await (await fileSystem.open(start, 'create')).close();
    let at = start;
    try {
      for (const stop of stops) {
        const directory = join(dataDir, stop);
        await fileSystem.readDirectory(directory);
        const next = join(directory, trialName);
        await fileSystem.rename(at, next);
        at = next;
      }
    } finally {
      await fileSystem.unlink(at);
    }
  }
}
