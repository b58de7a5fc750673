/** The words of uploads. */
import type { ErrorCode, HoldfastError, KeeperEndpoint, Policy, Receipt } from '@holdfast/shared';
import type { Durability, FileAttributes } from '../namespace/entry.js';
import type { Names } from '../namespace/resolve.js';

/** A chunk to be written: where, in which order, and the word that allows it. */
export interface ChunkAllocation {
  readonly chunkId: string;
  readonly keepers: readonly KeeperEndpoint[];
  readonly writeToken: Buffer;
}

/** A chunk that has been written. */
export interface SealedChunk {
  readonly chunkId: string;
  readonly lengthBytes: number;
  /** Hex. */
  readonly digest: string;
  readonly fileOffset: number;
  readonly receipts: readonly Receipt[];
}

export interface FileExtent {
  readonly chunkId: string;
  readonly chunkOffset: number;
  readonly lengthBytes: number;
}

/** One file of a commit. */
export interface FileVersion {
  readonly names: Names;
  /** Of the extents. */
  readonly sizeBytes: number;
  readonly extents: readonly FileExtent[];
  readonly expectedVersion: number | undefined;
  readonly createParents: boolean;
  readonly attributes: FileAttributes;
  /** Hex; undefined if the uploader did not say it. */
  readonly contentDigest?: string | undefined;
  /** The version whose extents come first; the path must still show it. */
  readonly appendToVersion?: number | undefined;
}

/** What became of one file of a commit. */
export interface CommittedFile {
  /** 0 if it was refused. */
  readonly version: number;
  /** Of the whole version. */
  readonly sizeBytes: number;
  /** Of the chunks of the upload. */
  readonly durability: Durability;
  /** Why it is not shown. */
  readonly refused?: RefusedFile;
}

/** What is remembered of a HoldfastError. */
export interface RefusedFile {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string;
  readonly facts: HoldfastError['facts'];
}

export interface CommitOptions {
  /** Files that cannot be shown at their paths are left out; else they refuse all. Default false. */
  readonly skipRefused?: boolean;
}

export interface BeginUpload {
  /** The path to check early; undefined for a session of many files. */
  readonly names: Names | undefined;
  readonly requestId: string;
  readonly policy: Policy;
  readonly expectedVersion: number | undefined;
  readonly createParents: boolean;
  readonly allocateCount: number;
  readonly chunkSizeBytes: number;
  readonly excludeKeeperIds: readonly string[];
  /** How long the session is to live when nothing of it is heard; absent: as the settings say. */
  readonly leaseMs?: number;
}

export interface UploadSession {
  readonly uploadId: string;
  readonly policy: Policy;
  readonly chunkSizeBytes: number;
}

export interface UploadDescription extends UploadSession {
  readonly state: 'open' | 'committed' | 'aborted';
  /** In order of chunk id. */
  readonly sealed: readonly Omit<SealedChunk, 'receipts'>[];
  /** The last chunk id of the page if there are more. */
  readonly nextAfterChunkId: string | undefined;
}
