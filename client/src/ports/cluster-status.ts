/** How a cluster stands, as its tracker says. Sizes in bytes. */
import type { Policy } from '@holdfast/shared';

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
  readonly keepers: readonly KeeperStatus[];
}
