/** What a tracker tells operators beside how the cluster stands: about one file, a loss that may come, what happened. */
import type { KeeperEndpoint } from '@holdfast/shared';
import type { CallOptions } from './call-options.js';
import type { KeeperStatus } from './cluster-status.js';

export interface ExplainedPiece {
  readonly keeper: KeeperEndpoint;
  readonly keeperState: KeeperStatus['state'];
  /** planned: ordered; durable: on stable storage; copying: on its way; garbage: given up; trashed: and in its keeper's trash. */
  readonly state: 'planned' | 'durable' | 'copying' | 'garbage' | 'trashed' | 'unknown';
  /** True if it is one of the chunk's counted pieces. */
  readonly counted: boolean;
  /** It was verified, byte by byte, at this time or later, as its keeper's scrub proves; absent if that is not known. */
  readonly verifiedSinceUnixMs?: number;
  /** When the tracker was told that the keeper had written it, every block verified; absent if that is not known. */
  readonly writtenAtUnixMs?: number;
  /** Why it is on this keeper, in a few words; '' if that is not known. */
  readonly placedBecause: string;
}

/** An extent of a file, and the chunk that holds it. */
export interface ExplainedChunk {
  readonly chunkId: string;
  /** The range of the file. */
  readonly fileOffset: number;
  readonly lengthBytes: number;
  /** Pieces that it is to have. */
  readonly policyPieces: number;
  /** Pieces on keepers that are not dead. */
  readonly countedPieces: number;
  readonly pieces: readonly ExplainedPiece[];
  /** How it stands and what is being done about it. */
  readonly text: string;
}

/** What would be lost or endangered if some keepers went now. Sizes in bytes. */
export interface LossPreview {
  /** All this in a sentence. */
  readonly summary: string;
  /** Chunks that no other keeper that is there has. */
  readonly lostChunks: number;
  readonly lostBytes: number;
  readonly lostFiles: number;
  /** The first 100 of them. */
  readonly lostPaths: readonly string[];
  /** Chunks that would have as few copies as are needed to read them. */
  readonly endangeredChunks: number;
  /** Chunks that would be below their policy, those above included. */
  readonly chunksBelowPolicy: number;
  readonly bytesToCopy: number;
  /** What the other keepers may still take. */
  readonly roomBytes: number;
  /** Whether uploads by the default policy would go on. */
  readonly canWrite: boolean;
}

/** Something that happened in the cluster. */
export interface ClusterEvent {
  /** Grows with every event. */
  readonly eventId: number;
  /** By the tracker's wall clock, for display. */
  readonly atUnixMs: number;
  /** What kind of thing: "keeper-dead", "repair-finished", … (docs/operations/events.md). */
  readonly kind: string;
  /** The keeper, chunk or job that it is about; '' for the cluster. */
  readonly subject: string;
  readonly text: string;
}

interface ListEventsRequest {
  /** 1 to 1,000. */
  readonly pageSize: number;
  readonly pageToken: string;
  /** Only what came after this event, the oldest first; absent: all, the latest first. */
  readonly afterEventId?: number | undefined;
}

/** The part of the tracker that only looks. '' as a page token is the first page, and after the last one. */
export interface InspectionApi {
  listKeepers(options?: CallOptions): Promise<readonly KeeperStatus[]>;
  explainEntry(
    path: string,
    pageToken: string,
    options?: CallOptions,
  ): Promise<{ readonly chunks: readonly ExplainedChunk[]; readonly nextPageToken: string }>;
  previewKeeperLoss(keeperIds: readonly string[], options?: CallOptions): Promise<LossPreview>;
  listEvents(
    request: ListEventsRequest,
    options?: CallOptions,
  ): Promise<{ readonly events: readonly ClusterEvent[]; readonly nextPageToken: string }>;
}
