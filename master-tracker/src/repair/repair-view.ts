/**
 * What the repair planner sees and what it says: the words between planner and worker.
 *
 * The view is a snapshot that the worker takes (a page of the queue, the keepers, the copies under way); the
 * plan is advice. Both are plain data, so that a plan can be tested, logged and replayed.
 */
import type { KeeperState } from '../membership/lease.js';
import type { InFlightCopy } from './in-flight.js';

/** How many pieces a chunk is to have, how many restore it. */
export interface RepairPolicy {
  readonly pieces: number;
  readonly needed: number;
  readonly minWrite: number;
}

/** A piece that the metadata knows of. 'suspect': reported bad, not yet verified; it counts until it is dropped. */
export interface RepairPiece {
  readonly keeperId: string;
  /** 0 where one piece is enough (replicas). */
  readonly pieceIndex: number;
  readonly state: 'durable' | 'suspect';
}

/** A chunk that may be off its policy. */
export interface RepairChunk {
  readonly chunkId: string;
  /** The chunk's length in bytes. */
  readonly lengthBytes: number;
  readonly policy: RepairPolicy;
  readonly pieces: readonly RepairPiece[];
  /** Keepers that are to trash a piece of it or just did: a copy there could meet the order, and be gone again. */
  readonly barredKeeperIds?: readonly string[];
}

export interface RepairKeeper {
  readonly keeperId: string;
  /** The failure domain; empty for one of its own. */
  readonly zone: string;
  readonly state: KeeperState;
  /** When its lease ran out, on the tracker's monotonic clock; null unless dead. */
  readonly deadSinceMs: number | null;
  /** True if another keeper is at its address by now: what was lost is its storage, and not the way to it. */
  readonly succeeded: boolean;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What uploads allocated there since its last heartbeat. The planner adds the copies in flight itself. */
  readonly reservedBytes: number;
  /** False if its storage cannot be written. */
  readonly storageWritable: boolean;
  /** True if it is being emptied: its pieces count as readable, but not as those that the policy asks for. */
  readonly draining: boolean;
  /** True once this start of it has said to this start of the tracker what it has. */
  readonly reported: boolean;
  /** Copies that it is making now, in whole ones: a small piece is a part of one (copy-share.ts). */
  readonly copiesAsTarget: number;
  /** Copies that are being made from it now, likewise. */
  readonly copiesAsSource: number;
  /** Streams that clients have open to it: it is busy with more than `busyStreams`. */
  readonly clientStreams: number;
  /** What ordinary copies to it may still take now, in bytes; Infinity without a limit (repair-rate.ts). */
  readonly rateLeftBytes: number;
}

/** How many copies may be under way at once. */
export interface CopyLimits {
  /** Whole ones, of which a small piece is a part. The last one to begin may exceed it. */
  readonly perTarget: number;
  readonly perSource: number;
  /** Copies of any size. */
  readonly total: number;
}

export interface RepairLimits {
  /** For copies of chunks that have pieces to spare. */
  readonly ordinary: CopyLimits;
  /** For chunks that the next loss makes unreadable; never below `ordinary`. */
  readonly endangered: CopyLimits;
  /** With more streams of clients than this, a keeper takes part in one ordinary copy at a time. */
  readonly busyStreams: number;
  /** The brake holds when more than this share of the keepers is gone at once, 0 to 1. */
  readonly brakeShare: number;
  /** The brake never holds for fewer keepers than this. */
  readonly brakeMinKeepers: number;
  /** How close together losses are "at once", and so how long the brake holds after the last one. */
  readonly brakeWindowMs: number;
}

export const DEFAULT_REPAIR_LIMITS: RepairLimits = {
  // Two at a time keep a disk busy (one reads while the other syncs) and leave most of it to clients. The total
  // bounds what one tracker follows; it keeps room for the endangered.
  ordinary: { perTarget: 2, perSource: 2, total: 500 },
  // Twice that: for a chunk without a spare, clients may wait.
  endangered: { perTarget: 4, perSource: 4, total: 1_000 },
  // One is a client that trickles along; an upload or download has several.
  busyStreams: 1,
  // More than a quarter gone is a network, a power line or a mistake far more often than that many disks, and
  // copying for it would overload those that are left, for keepers that come back by themselves.
  brakeShare: 0.25,
  // One lost keeper is what repair is for, also where it is a third of a small cluster.
  brakeMinKeepers: 2,
  // Time for a switch to be restarted or a person to look; then the keepers are taken as lost for good, as a
  // brake without an end would leave a cluster that did lose them without its copies for ever.
  brakeWindowMs: 10 * 60_000,
};

/** All that a plan is made from. */
export interface RepairView {
  /** On the tracker's monotonic clock. */
  readonly nowMs: number;
  /** True while the tracker does not yet know where pieces are: nothing is planned. */
  readonly safeMode: boolean;
  /** A page of the queue, oldest first, each chunk once. */
  readonly chunks: readonly RepairChunk[];
  /** All keepers. A keeper that is not listed counts as dead. */
  readonly keepers: readonly RepairKeeper[];
  readonly inFlight: readonly InFlightCopy[];
  readonly limits: RepairLimits;
  /** Gives numbers from 0 to below 1, evenly spread; for the choice of targets. */
  readonly random: () => number;
}

/**
 * How badly a copy is needed, worst first, by the pieces that the chunk has without it: 'endangered', exactly
 * as many as are needed, so that the next loss makes it unreadable; 'below-half', fewer than half of the
 * policy's pieces; 'below-policy', any other number below the policy; 'draining', enough, but some of them on
 * keepers that are being emptied; 'badly-placed', enough, but two in one zone although another has room.
 */
export type RepairUrgency = 'endangered' | 'below-half' | 'below-policy' | 'draining' | 'badly-placed';

/** Why a chunk that needs a copy gets none now, in words for people. */
export type BlockReason = 'no target with room' | 'no source' | 'brake' | 'budget';

/** A copy to be made. */
export interface PlannedCopy {
  readonly chunkId: string;
  readonly pieceIndex: number;
  /** The length of the piece, in bytes. */
  readonly pieceBytes: number;
  readonly targetKeeperId: string;
  /** In the order to try: the first `sourcesNeeded` are used, the others stand in for them. */
  readonly sourceKeeperIds: readonly string[];
  readonly sourcesNeeded: number;
  readonly urgency: RepairUrgency;
}

/** How the chunks of the page stand. Every chunk is in one of `below`, `unreadable`, `surplus` and `healthy`. */
export interface RepairSummary {
  readonly safeMode: boolean;
  /** True while the brake holds. */
  readonly braked: boolean;
  /** Chunks that need copies, by the pieces that they have now. */
  readonly below: Readonly<Record<RepairUrgency, number>>;
  /** Chunks with fewer pieces than are needed. */
  readonly unreadable: number;
  /** Chunks with more pieces than they need. */
  readonly surplus: number;
  readonly healthy: number;
  /** Chunks that need copies for which every one is already in flight. */
  readonly inFlight: number;
  /** Copies planned, each by its own urgency. */
  readonly planned: Readonly<Record<RepairUrgency, number>>;
  /** Chunks that lack a copy that could not be planned, by reason. */
  readonly blocked: Readonly<Record<BlockReason, number>>;
  /** All this in a few sentences. */
  readonly text: string;
}

export interface RepairPlan {
  /** Most urgent first. */
  readonly copies: readonly PlannedCopy[];
  /** Chunks that lack nothing and have a piece too many: candidates for the trimmer. */
  readonly surplusChunkIds: readonly string[];
  /** Chunks that are as they should be: to be taken off the queue until a piece or a keeper is lost again. */
  readonly healthyChunkIds: readonly string[];
  readonly blocked: readonly { readonly chunkId: string; readonly reason: BlockReason }[];
  readonly summary: RepairSummary;
}
