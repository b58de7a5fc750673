/**
 * How the cluster stands, in numbers and in a sentence.
 *
 * What each number costs: files, directories, bytes and open uploads are counters that every transaction
 * keeps, and so are chunks and pieces (nothing to count); the front of the repair queue is looked at chunk by chunk
 * (counts.ts), at most for a twentieth of the time, so that whoever polls the status does not slow the cluster down.
 */
import type { Clock } from '@holdfast/shared';
import type { KeeperView } from '../membership/keeper.js';
import type { Membership } from '../membership/membership.js';
import type { ScrubProgress } from '../membership/keeper.js';
import type { PlacementLook } from '../repair/placement-look.js';
import type { Repair } from '../repair/repair.js';
import type { RepairStatus } from '../repair/repair-status.js';
import type { Counters, MetadataStore } from '../store/metadata-store.js';
import { type Counts, count } from './counts.js';
import type { RegressionGuard } from './regression.js';
import { sumScrubs } from './scrub-sum.js';
import { summarize } from './summary.js';

/** A count is good for this many times as long as it took, and for a moment at least. */
const countShare = 20;
const countedForMs = 200;

export interface KeeperStatus extends KeeperView {
  readonly pieces: number;
  readonly lastHeartbeatAgeMs: number | undefined;
}

/** What was given up and how much room it still takes. */
interface ReclaimStatus {
  readonly trashedVersions: number;
  readonly trashedBytes: number;
  readonly piecesToReclaim: number;
  /** By the keepers' last heartbeats. */
  readonly keeperTrashBytes: number;
}

export interface ClusterStatus extends Omit<Counts, 'pieces' | 'dead' | 'piecesToReclaim' | 'reasons'> {
  readonly counters: Readonly<Counters>;
  readonly metadataRegressed: boolean;
  readonly repair: RepairStatus;
  /** With two pieces in one zone although another one has room, as far as was looked; `repair.text` says how far. */
  readonly chunksBadlyPlaced: number;
  readonly reclaim: ReclaimStatus;
  /** Over the keepers that have said; undefined if none has. */
  readonly scrub: ScrubProgress | undefined;
  readonly keepers: readonly KeeperStatus[];
  readonly summary: string;
}

export interface StatusParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly repair: Pick<Repair, 'status' | 'badlyPlaced'>;
  readonly placementLook: Pick<PlacementLook, 'unlookedInWords'>;
}

export class StatusReporter {
  readonly #parts: StatusParts;
  #counts: Promise<Counts> | undefined;
  #countedUntilMs = -Infinity;

  constructor(parts: StatusParts) {
    this.#parts = parts;
  }

  async status(): Promise<ClusterStatus> {
    const { store, guard, repair, placementLook } = this.#parts;
    const { pieces, dead, piecesToReclaim, reasons, ...counts } = await this.#count();
    const { counters } = store;
    const keepers = this.#keepers(pieces, dead);
    const keeperTrashBytes = keepers.reduce((sum, { capacity }) => sum + capacity.trashBytes, 0);
    const repairStatus = repair.status({ ...counts, reasons });
    const unlooked = placementLook.unlookedInWords(counts.chunks);
    const status = {
      ...counts,
      counters,
      metadataRegressed: guard.regressed,
      repair: { ...repairStatus, text: `${repairStatus.text} ${unlooked}`.trimEnd() },
      chunksBadlyPlaced: repair.badlyPlaced,
      reclaim: {
        trashedVersions: counters.trashed_versions,
        trashedBytes: counters.trashed_bytes,
        piecesToReclaim,
        keeperTrashBytes,
      },
      scrub: sumScrubs(keepers.flatMap((keeper) => keeper.scrub ?? [])),
      keepers,
    };
    return { ...status, summary: summarize(status) };
  }

  async keepers(): Promise<readonly KeeperStatus[]> {
    const { pieces, dead } = await this.#count();
    return this.#keepers(pieces, dead);
  }

  #keepers(pieces: Counts['pieces'], dead: Counts['dead']): KeeperStatus[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return this.#parts.membership.list().map((keeper) => ({
      ...keeper,
      // A death that is younger than the count is told with the next one: a dead keeper beside "every chunk has all
      // its copies" would be a lie.
      state: keeper.state === 'dead' && !dead.has(keeper.keeperId) ? 'suspect' : keeper.state,
      pieces: pieces.get(keeper.keeperId) ?? 0,
      lastHeartbeatAgeMs: keeper.lastHeardMs === null ? undefined : Math.floor(nowMs - keeper.lastHeardMs),
    }));
  }

  #count(): Promise<Counts> {
    const { clock, store } = this.#parts;
    const startedMs = clock.monotonicMs();
    if (this.#counts && startedMs < this.#countedUntilMs) return this.#counts;
    // Whoever asks meanwhile shares the count.
    this.#countedUntilMs = Infinity;
    this.#counts = store
      .read((snapshot) => count(snapshot))
      .finally(() => {
        const nowMs = clock.monotonicMs();
        this.#countedUntilMs = nowMs + Math.max(countedForMs, countShare * (nowMs - startedMs));
      });
    this.#counts.catch(() => {
      this.#counts = undefined;
    });
    return this.#counts;
  }
}
