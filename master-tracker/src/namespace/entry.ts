/** The words of the namespace. */
import type { Policy } from '@holdfast/shared';

export interface FileAttributes {
  readonly modifiedAtUnixMs?: number | undefined;
  /** POSIX permission bits, 0 to 0o7777. */
  readonly mode?: number | undefined;
}

/** How many copies a version's chunks have now. */
export interface Durability {
  readonly chunks: number;
  /** Of the chunk that has the fewest; 0 for a file without chunks. */
  readonly fewestPieces: number;
  readonly policyPieces: number;
  readonly chunksBelowPolicy: number;
}

export interface Entry {
  readonly path: string;
  readonly type: 'file' | 'directory';
  readonly sizeBytes: number;
  /** 0 for a directory. */
  readonly version: number;
  readonly createdAtUnixMs: number;
  readonly attributes?: FileAttributes;
  readonly policy?: Policy;
  /** Hex. */
  readonly contentDigest?: string | undefined;
  readonly durability?: Durability;
}

export interface EntryPage {
  readonly entries: readonly Entry[];
  /** The last name of the page if there may be more, else undefined. */
  readonly nextAfterName: string | undefined;
}
