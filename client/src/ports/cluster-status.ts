/** How a cluster stands, as its tracker says. Sizes in bytes. */
import type { Policy } from '@holdfast/shared';

/** How far pieces were read again from the medium, in the round that runs. Times by the keepers' wall clocks. */
export interface ScrubProgress {
  readonly scannedPieces: number;
  readonly expectedPieces: number;
  readonly scannedBytes: number;
  readonly expectedBytes: number;
  /** Damaged pieces that this round found. */
  readonly corruptPieces: number;
  /** Pieces that could not be read for another reason. */
  readonly unreadPieces: number;
  /** Of the scanned ones, pieces that were read through the page cache, as the medium could not be read past it. */
  readonly cachedPieces: number;
  /** When this round and the one before it began; absent if there was none. */
  readonly startedAtUnixMs?: number;
  readonly previousStartedAtUnixMs?: number;
  /** Whole rounds so far. */
  readonly rounds: number;
}

/** What repair is doing, why, and until when. */
export interface RepairStatus {
  /** In a few sentences. */
  readonly text: string;
  /** Chunks that wait for a copy or a move. */
  readonly chunksQueued: number;
  readonly copiesInFlight: number;
  /** What copies bring now. */
  readonly bytesPerSecond: number;
  /** The limit in force; 0 for none. */
  readonly limitBytesPerSecond: number;
  /** An estimate; absent if there is nothing to go by. */
  readonly remainingMs?: number;
  /** True while only endangered chunks are copied, because many keepers vanished at once. */
  readonly braked: boolean;
  /** True right after the tracker's start: nothing is copied or removed. */
  readonly safeMode: boolean;
  /** Chunks that could not be helped when they were last looked at, by reason. */
  readonly blocked: readonly { readonly reason: string; readonly chunks: number }[];
}

/** What was given up and how much room it still takes. */
export interface ReclaimStatus {
  /** Versions that can still be restored, and their sizes in bytes. */
  readonly trashedVersions: number;
  readonly trashedBytes: number;
  /** Pieces that keepers are still to move to their trash. */
  readonly piecesToReclaim: number;
  /** Bytes in the keepers' trash, which they give back by themselves. */
  readonly keeperTrashBytes: number;
}

/** How many chunks are to have so many pieces and have so many on keepers that are not dead. */
export interface PieceCount {
  readonly policyPieces: number;
  readonly countedPieces: number;
  readonly chunks: number;
}

export interface KeeperStatus {
  readonly keeperId: string;
  /** HOST:PORT. */
  readonly address: string;
  readonly zone: string;
  /** live: takes pieces; suspect: not heard of lately; dead: its pieces do not count; maintenance: expected back. */
  readonly state: 'live' | 'suspect' | 'dead' | 'maintenance' | 'unknown';
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** How much of usedBytes is in its trash. */
  readonly trashBytes: number;
  /** Pieces that count. */
  readonly pieces: number;
  /** Milliseconds since the tracker heard of it; absent if not since the tracker started. */
  readonly lastHeartbeatAgeMs?: number;
  readonly softwareVersion: string;
  /** True once its full report is in. */
  readonly reported: boolean;
  /** Why it takes no writes; '' if it does. */
  readonly storageError: string;
  /** True while it is being emptied, and after: it takes no new pieces. */
  readonly draining: boolean;
  /** Why its identity is in doubt, and so takes no new pieces: two keepers run from one data directory; '' if not. */
  readonly identityConflict: string;
  /** How far it has read its pieces again; absent if it has not said. */
  readonly scrub?: ScrubProgress;
}

export interface ClusterStatus {
  /** The state of the cluster in a sentence. */
  readonly summary: string;
  readonly clusterId: string;
  readonly trackerEpoch: number;
  readonly trackerVersion: string;
  /** True when the tracker serves reads only, because keepers have witnessed later metadata. */
  readonly metadataRegressed: boolean;
  readonly defaultPolicy: Policy;
  readonly files: number;
  readonly directories: number;
  readonly logicalBytes: number;
  readonly chunks: number;
  /** Chunks with fewer pieces than their policy asks for. */
  readonly chunksBelowPolicy: number;
  /** Of these, chunks that cannot be read now. */
  readonly chunksUnreadable: number;
  readonly openUploads: number;
  readonly repairsInFlight: number;
  readonly piecesToReclaim: number;
  /** Every chunk once, the fewest pieces first. What nobody waits for may have a piece more than is said. */
  readonly pieceCounts: readonly PieceCount[];
  readonly repair: RepairStatus;
  readonly reclaim: ReclaimStatus;
  /** Summed over the keepers that have said; absent if none has. */
  readonly scrub?: ScrubProgress;
  /** Chunks with two pieces in one zone although another one has room, as far as was looked. */
  readonly chunksBadlyPlaced: number;
  readonly keepers: readonly KeeperStatus[];
}
