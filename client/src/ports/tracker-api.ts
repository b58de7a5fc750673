/**
 * The tracker, as far as the client's core needs it: its calls in the domain's words. gRPC implements it
 * (`grpc/grpc-tracker.ts`), tests have one in memory. An implementation makes one attempt a call, under a
 * deadline; repeating is the core's affair, because only the core knows what may be repeated.
 *
 * Every method rejects with a HoldfastError. What an implementation returns has been checked for form (ids,
 * ranges of numbers, presence); whether it makes sense for the question is checked by the core.
 */
import type { HoldfastError, KeeperEndpoint, Policy, Receipt } from '@holdfast/shared';
import type { CallOptions } from './call-options.js';
import type { ClusterStatus } from './cluster-status.js';
import type { InspectionApi } from './inspection.js';
import type { Job, JobPage } from './jobs.js';

/** What an uploader may say about a file; the tracker only keeps it. */
export interface FileAttributes {
  /** The source's modification time, in milliseconds since 1970. */
  readonly modifiedAtUnixMs?: number;
  /** POSIX permission bits, 0 to 0o7777. */
  readonly mode?: number;
}

/** How many copies a version's chunks have now. */
export interface Durability {
  /** Distinct chunks of the version; 0 for an empty file, which has nothing to count. */
  readonly chunks: number;
  /** Copies of the chunk that has the fewest, on keepers that are not dead. */
  readonly fewest: number;
  /** Copies that the policy asks for. */
  readonly wanted: number;
  /** How many of the chunks have fewer than that. */
  readonly chunksBelowPolicy: number;
}

/** A file or a directory. */
export interface Entry {
  readonly path: string;
  readonly type: 'file' | 'directory';
  /** Bytes; 0 for a directory. */
  readonly sizeBytes: number;
  /** The version that the path shows; 0 for a directory. */
  readonly version: number;
  /** When the tracker made it, by its wall clock, in milliseconds since 1970. For display. */
  readonly createdAtUnixMs: number;
  readonly attributes: FileAttributes;
  readonly policy?: Policy;
  /**
   * Names the whole content of a file, whoever stored it and in what chunks: 64 hexadecimal digits, as `contentDigest`
   * computes them. Absent if whoever stored it did not say it.
   */
  readonly contentDigest?: string;
  /** Of a file that `stat` describes. */
  readonly durability?: Durability;
}

interface EntryPage {
  readonly entries: readonly Entry[];
  /** '' on the last page. */
  readonly nextPageToken: string;
}

/** A file's version that no path shows any more and that can be restored. */
export interface TrashedVersion {
  /** Where it was. */
  readonly path: string;
  readonly version: number;
  readonly sizeBytes: number;
  /** When it left the path, by the tracker's wall clock, in milliseconds since 1970. For display. */
  readonly trashedAtUnixMs: number;
  /** How much longer it can be restored. */
  readonly expiresInMs: number;
  /** True if another version took its place, false if it was deleted. */
  readonly replaced: boolean;
}

interface TrashPage {
  readonly versions: readonly TrashedVersion[];
  /** '' on the last page. */
  readonly nextPageToken: string;
}

/** What was given up: how many versions, and their sizes. */
export interface TrashSummary {
  readonly versions: number;
  readonly bytes: number;
}

/** A chunk to be written: where, in which order, and the word that allows it. */
export interface ChunkAllocation {
  readonly chunkId: string;
  /** The chain, head first; at least one. */
  readonly keepers: readonly KeeperEndpoint[];
  readonly writeToken: Buffer;
}

export interface SealedChunk {
  readonly chunkId: string;
  readonly lengthBytes: number;
  readonly digest: Buffer;
  readonly receipts: readonly Receipt[];
  /** Where the chunk stands in the file, in bytes. */
  readonly fileOffset: number;
}

export interface BeginUploadRequest {
  readonly path: string;
  readonly requestId: string;
  /** Absent or 0: the cluster's default. */
  readonly replicas?: number;
  readonly minWrite?: number;
  /** Absent: anything or nothing; 0: nothing; else a file at exactly this version. */
  readonly expectedVersion?: number | undefined;
  readonly createParents: boolean;
  /** 0 to 64. */
  readonly allocateCount: number;
  /** 0: the cluster's default. */
  readonly chunkSizeBytes: number;
  readonly excludeKeeperIds: readonly string[];
}

/** An open session. */
export interface UploadSession {
  readonly uploadId: string;
  /** The session ends when nothing of it is heard for this long. */
  readonly leaseMs: number;
  readonly policy: Policy;
  /** The longest chunk, in bytes. */
  readonly chunkSizeBytes: number;
  readonly blockSizeBytes: number;
  readonly allocations: readonly ChunkAllocation[];
  readonly tokenLifetimeMs: number;
}

/** A session as it is, with a page of the chunks that its commit may use, without receipts. */
export interface UploadPage extends Omit<UploadSession, 'allocations' | 'uploadId'> {
  readonly state: 'open' | 'committed' | 'aborted';
  readonly sealed: readonly SealedChunk[];
  /** '' on the last page. */
  readonly nextPageToken: string;
}

export interface AllocateChunksRequest {
  readonly uploadId: string;
  /** 0 to 64; 0 only renews the lease and records what is sealed. */
  readonly count: number;
  readonly excludeKeeperIds: readonly string[];
  readonly sealed: readonly SealedChunk[];
  /** How long the session is to live from now on when nothing of it is heard; never shortens it. Absent or 0: as it is. */
  readonly leaseMs?: number;
}

export interface FileExtent {
  readonly chunkId: string;
  readonly chunkOffset: number;
  readonly lengthBytes: number;
}

/** One file of a commit. */
export interface FileVersion {
  readonly path: string;
  /** Of the extents. */
  readonly sizeBytes: number;
  /** Ranges of any chunks of the session, in the order of the file; none for an empty file. */
  readonly extents: readonly FileExtent[];
  readonly expectedVersion?: number | undefined;
  /** The version whose extents come first; not together with `expectedVersion`. */
  readonly appendToVersion?: number | undefined;
  readonly createParents: boolean;
  readonly attributes: FileAttributes;
  /** 32 bytes; absent if it is not known. */
  readonly contentDigest?: Buffer | undefined;
}

export interface CommitUploadRequest {
  readonly uploadId: string;
  readonly requestId: string;
  /** 1 to limits.maxFilesPerCommit, of different paths. */
  readonly files: readonly FileVersion[];
  /** Chunks that no AllocateChunks has reported. */
  readonly sealed: readonly SealedChunk[];
  /** Leaves out the files that cannot be shown at their paths; else one refuses all. */
  readonly skipRefused: boolean;
}

export interface CommittedFile {
  readonly path: string;
  readonly version: number;
  /** Of the whole version, in bytes. */
  readonly sizeBytes: number;
  /** Of the chunks of the upload. */
  readonly durability: Durability;
}

export interface PieceLocation {
  readonly pieceIndex: number;
  readonly keeper: KeeperEndpoint;
  /** False for a keeper that the tracker has not heard lately: the last to ask. */
  readonly reachable: boolean;
}

/** An extent of a version with all that is needed to read it. */
export interface LocatedExtent extends FileExtent {
  readonly fileOffset: number;
  readonly chunkLengthBytes: number;
  readonly chunkDigest: Buffer;
  readonly blockSizeBytes: number;
  /** In the order to ask; empty if no keeper is known to have the chunk now. */
  readonly pieces: readonly PieceLocation[];
  readonly readToken: Buffer;
}

export interface LocateChunksRequest {
  readonly target: { readonly path: string } | { readonly version: number };
  readonly offset: number;
  /** 0: to the end. */
  readonly lengthBytes: number;
}

export interface LocatedPage {
  readonly version: number;
  readonly sizeBytes: number;
  readonly extents: readonly LocatedExtent[];
  /** Where to go on, or 0 if the range is covered. */
  readonly nextOffset: number;
}

export interface BadPiece {
  readonly chunkId: string;
  readonly pieceIndex: number;
  readonly keeperId: string;
  readonly error: HoldfastError;
  readonly readToken: Buffer;
}

/** Of a move, and of a copy. */
interface SourceAndDestination {
  readonly sourcePath: string;
  readonly destinationPath: string;
  readonly expectedVersion?: number | undefined;
  readonly requestId: string;
}

interface DeleteEntryRequest {
  readonly path: string;
  readonly recursive: boolean;
  readonly expectedVersion?: number | undefined;
  readonly requestId: string;
}

interface RestoreEntryRequest {
  readonly path: string;
  /** 0: the one that left the path last. */
  readonly version: number;
  readonly destinationPath: string;
  /** 0: nothing; else a file at exactly this version. */
  readonly expectedVersion: number;
  readonly requestId: string;
}

/** What came of the word that a keeper's unknown pieces belong to nothing. */
export interface TrashedPieces {
  /** Pieces that the keeper is told to move to its trash. */
  readonly trashed: number;
  /** Unknown pieces that stay, as no second report has named them yet. */
  readonly kept: number;
}

export interface TrackerApi extends InspectionApi {
  getEntry(path: string, options?: CallOptions): Promise<Entry>;
  listEntries(path: string, pageToken: string, options?: CallOptions): Promise<EntryPage>;
  createDirectory(
    request: { readonly path: string; readonly parents: boolean; readonly requestId: string },
    options?: CallOptions,
  ): Promise<Entry>;
  moveEntry(request: SourceAndDestination, options?: CallOptions): Promise<Entry>;
  copyEntry(request: SourceAndDestination, options?: CallOptions): Promise<Entry>;
  /** Resolves to the number of entries that went. */
  deleteEntry(request: DeleteEntryRequest, options?: CallOptions): Promise<number>;
  listTrash(path: string, pageToken: string, options?: CallOptions): Promise<TrashPage>;
  restoreEntry(request: RestoreEntryRequest, options?: CallOptions): Promise<Entry>;
  emptyTrash(
    request: { readonly path: string; readonly requestId: string },
    options?: CallOptions,
  ): Promise<TrashSummary>;

  beginUpload(request: BeginUploadRequest, options?: CallOptions): Promise<UploadSession>;
  allocateChunks(
    request: AllocateChunksRequest,
    options?: CallOptions,
  ): Promise<{ readonly allocations: readonly ChunkAllocation[]; readonly leaseMs: number }>;
  /** What became of each file, in the order of the request: an error only with `skipRefused`. */
  commitUpload(
    request: CommitUploadRequest,
    options?: CallOptions,
  ): Promise<readonly (CommittedFile | HoldfastError)[]>;
  /** @throws HoldfastError NOT_FOUND */
  getUpload(uploadId: string, pageToken: string, options?: CallOptions): Promise<UploadPage>;
  abortUpload(uploadId: string, options?: CallOptions): Promise<void>;

  locateChunks(request: LocateChunksRequest, options?: CallOptions): Promise<LocatedPage>;
  /**
   * Whole versions, in the order asked for and at most `limits.maxLocatedFiles`; undefined for one that has to be asked
   * for by itself, because it is gone or has more extents than fit.
   */
  locateFiles(
    versions: readonly number[],
    options?: CallOptions,
  ): Promise<readonly (LocatedPage | undefined)[]>;
  reportBadPiece(piece: BadPiece, options?: CallOptions): Promise<void>;

  clusterStatus(options?: CallOptions): Promise<ClusterStatus>;
  /** Resolves to the id of the job. */
  checkCluster(requestId: string, options?: CallOptions): Promise<string>;
  trashUnknownPieces(
    request: { readonly keeperId: string; readonly requestId: string },
    options?: CallOptions,
  ): Promise<TrashedPieces>;

  /** Each resolves to the id of the job. */
  drainKeeper(keeperId: string, requestId: string, options?: CallOptions): Promise<string>;
  rebalanceCluster(requestId: string, options?: CallOptions): Promise<string>;
  /** No ids: all keepers. */
  scrubKeepers(keeperIds: readonly string[], requestId: string, options?: CallOptions): Promise<string>;
  listJobs(pageToken: string, options?: CallOptions): Promise<JobPage>;
  getJob(jobId: string, options?: CallOptions): Promise<Job>;
  cancelJob(jobId: string, options?: CallOptions): Promise<Job>;
  setMaintenance(
    request: { readonly keeperId: string; readonly durationMs: number; readonly requestId: string },
    options?: CallOptions,
  ): Promise<void>;
  forgetKeeper(keeperId: string, requestId: string, options?: CallOptions): Promise<void>;
}
