/**
 * The copies that are being made now.
 *
 * The failure it answers: a planner that forgets what it ordered orders it again every second, and one that
 * never forgets waits for ever for a keeper that lost the order. The table remembers each copy from its order
 * until it is done, its target is gone, or its time is over.
 *
 * The promise: bounded; one entry for a chunk and a target; nothing here must survive, as a copy that is
 * forgotten is planned again, and making it twice is harmless.
 */
import { copyShare } from './copy-share.js';

/**
 * How long a copy may take: the largest chunk (64 MiB) at 256 KiB/s, slower than any link worth waiting for,
 * takes 256 s. Shorter, and slow keepers would never finish; longer, and a lost order would delay repair.
 */
export const COPY_TIMEOUT_MS = 300_000;

/** How many copies the table holds: twice what the planner ever has in flight, so that it is never the limit. */
export const MAX_COPIES_IN_FLIGHT = 2_000;

export interface InFlightCopy {
  readonly chunkId: string;
  readonly pieceIndex: number;
  /** The length of the piece, in bytes. */
  readonly pieceBytes: number;
  readonly targetKeeperId: string;
  /** In the order to try; the first `sourcesNeeded` count as busy. */
  readonly sourceKeeperIds: readonly string[];
  readonly sourcesNeeded: number;
  /** When it was ordered, on the tracker's monotonic clock. */
  readonly startedMs: number;
  /** Why the chunk wants it (registry/reasons.ts). */
  readonly because?: string | undefined;
}

/** How many copies a keeper takes part in, in whole ones (copy-share.ts). */
export interface CopyCounts {
  readonly asTarget: number;
  readonly asSource: number;
}

export interface InFlightOptions {
  /** How many copies at most; default MAX_COPIES_IN_FLIGHT. */
  readonly limit?: number;
  /** Default COPY_TIMEOUT_MS. */
  readonly timeoutMs?: number;
}

export class InFlightTable {
  readonly #copies = new Map<string, InFlightCopy>();
  readonly #limit: number;
  readonly #timeoutMs: number;

  constructor(options: InFlightOptions = {}) {
    this.#limit = options.limit ?? MAX_COPIES_IN_FLIGHT;
    this.#timeoutMs = options.timeoutMs ?? COPY_TIMEOUT_MS;
  }

  get size(): number {
    return this.#copies.size;
  }

  /** Remembers a copy. 'duplicate': that chunk is being copied there already; 'full': the table is. */
  add(copy: InFlightCopy): 'added' | 'duplicate' | 'full' {
    const key = keyOf(copy.chunkId, copy.targetKeeperId);
    if (this.#copies.has(key)) return 'duplicate';
    if (this.#copies.size >= this.#limit) return 'full';
    this.#copies.set(key, copy);
    return 'added';
  }

  /** The copy of a chunk to a keeper, if one is being made. */
  get(chunkId: string, targetKeeperId: string): InFlightCopy | undefined {
    return this.#copies.get(keyOf(chunkId, targetKeeperId));
  }

  /** The copies of a chunk that are being made. */
  copiesOf(chunkId: string): InFlightCopy[] {
    const copies: InFlightCopy[] = [];
    for (const copy of this.#copies.values()) if (copy.chunkId === chunkId) copies.push(copy);
    return copies;
  }

  /** Forgets a copy that ended, well or not; undefined if it was not known any more, which is fine. */
  complete(chunkId: string, targetKeeperId: string): InFlightCopy | undefined {
    const key = keyOf(chunkId, targetKeeperId);
    const copy = this.#copies.get(key);
    this.#copies.delete(key);
    return copy;
  }

  /** Forgets and returns the copies whose time is over. */
  expire(nowMs: number): InFlightCopy[] {
    return this.#forget((copy) => nowMs - copy.startedMs >= this.#timeoutMs);
  }

  /**
   * Forgets and returns the copies that cannot end any more without this keeper: those to it, and those that
   * have fewer sources left than they need. Other copies go on with their remaining sources.
   */
  dropKeeper(keeperId: string): InFlightCopy[] {
    for (const [key, copy] of this.#copies) {
      if (!copy.sourceKeeperIds.includes(keeperId)) continue;
      const sourceKeeperIds = copy.sourceKeeperIds.filter((source) => source !== keeperId);
      this.#copies.set(key, { ...copy, sourceKeeperIds });
    }
    return this.#forget(
      (copy) => copy.targetKeeperId === keeperId || copy.sourceKeeperIds.length < copy.sourcesNeeded,
    );
  }

  /** All copies, oldest order first. */
  list(): InFlightCopy[] {
    return [...this.#copies.values()];
  }

  /** How many copies each keeper takes part in; keepers without any are not listed. */
  countsByKeeper(): Map<string, CopyCounts> {
    const counts = new Map<string, CopyCounts>();
    const add = (keeperId: string, asTarget: number, asSource: number): void => {
      const before = counts.get(keeperId) ?? { asTarget: 0, asSource: 0 };
      counts.set(keeperId, {
        asTarget: before.asTarget + asTarget,
        asSource: before.asSource + asSource,
      });
    };
    for (const copy of this.#copies.values()) {
      const share = copyShare(copy.pieceBytes);
      add(copy.targetKeeperId, share, 0);
      for (const keeperId of copy.sourceKeeperIds.slice(0, copy.sourcesNeeded)) add(keeperId, 0, share);
    }
    return counts;
  }

  #forget(isOver: (copy: InFlightCopy) => boolean): InFlightCopy[] {
    const over: InFlightCopy[] = [];
    for (const [key, copy] of this.#copies) {
      if (!isOver(copy)) continue;
      this.#copies.delete(key);
      over.push(copy);
    }
    return over;
  }
}

function keyOf(chunkId: string, targetKeeperId: string): string {
  return `${chunkId}/${targetKeeperId}`;
}
