/**
 * What an upload writes down so that another process can go on with it. The failure it answers: a client that is
 * killed has receipts that nobody else has, and the id of a session that nobody else knows.
 */
import type { FileAttributes, SealedChunk } from './tracker-api.js';

/** A chunk that keepers have, with the checksums of its blocks: four bytes each, big-endian. */
export interface WrittenChunk extends SealedChunk {
  readonly checksums: Buffer;
}

/** A commit as it was asked for: asked again in the same words it has the same answer. */
export interface AskedCommit {
  readonly requestId: string;
  readonly expectedVersion?: number | undefined;
  readonly createParents: boolean;
  readonly attributes: FileAttributes;
}

/** What an earlier process wrote down about an upload of the same source to the same path. */
export interface LeftUpload {
  readonly uploadId: string;
  /** Of those that the tracker does not know yet with their receipts. */
  readonly sealed: readonly WrittenChunk[];
  /** The last commit that was asked for. */
  readonly commit?: AskedCommit;
}

/** Belongs to one upload. No method rejects: what cannot be written down is sent again. */
export interface UploadJournal {
  readonly left: LeftUpload | undefined;
  /** Sessions of earlier uploads that nobody will go on with. */
  readonly abandoned: readonly string[];
  /** Whether another process would find the session. */
  readonly isKept: boolean;
  /** A new session, in place of what was left; found also after a power cut once it resolves, if `isKept`. */
  begin(uploadId: string): Promise<void>;
  /** Written down before the tracker is told of it. */
  seal(chunk: WrittenChunk): Promise<void>;
  /** Written down before it is asked for. */
  committing(commit: AskedCommit): Promise<void>;
  /** The upload is over: removes the record. */
  forget(): Promise<void>;
  /** Leaves the record to whoever goes on. */
  release(): Promise<void>;
}
