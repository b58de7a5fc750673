/**
 * One upload, from the first byte to the commit: opens a session, has chunks written side by side, and makes
 * the version visible in one step.
 *
 * Promise: when it resolves, the whole version is durable on at least `minWrite` keepers and visible. When it
 * rejects, the path shows what it showed before, unless the error is that the outcome of the commit could not
 * be learnt in time, which its message then says.
 */
import pLimit from 'p-limit';
import { HoldfastError, limits, splitPath, throwIfCancelled } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { ContentDigest } from '../core/content-digest.js';
import { isOutcomeUnknown } from '../core/outcome.js';
import { firstOf } from '../core/signals.js';
import type {
  CommittedFile,
  Durability,
  FileAttributes,
  SealedChunk,
  UploadSession,
} from '../ports/tracker-api.js';
import { ChunkAllocator } from './allocator.js';
import type { ChunkSource } from './chunk-source.js';
import { ChunkWriter, checkBlockSize } from './chunk-writer.js';
import { chunkSizeFor, cutSizeFor } from './plan.js';
import { type RoomOptions, awaitingRoom } from './room.js';
import { commitSession, endSession, openSession } from './session.js';

export interface UploadOptions {
  /** Chunks that are sent at once, 1 to 64. Default 3; up to 4 more wait until keepers have made them durable. */
  readonly concurrency?: number;
  /** The longest chunk in bytes, 64 KiB to 64 MiB; cut to whole blocks of 64 KiB. Default: the cluster's; larger for files of terabytes. */
  readonly chunkSizeBytes?: number;
  /** Copies of each chunk, 1 to 16. Default: the cluster's. */
  readonly replicas?: number;
  /** Copies that must be durable before the upload returns, 1 to `replicas`. Default: the cluster's. */
  readonly minWrite?: number;
  /** Whether a file at the path may be replaced. Default false. */
  readonly overwrite?: boolean;
  /** Replaces only exactly this version; `overwrite` then does not matter. */
  readonly expectedVersion?: number;
  /** Makes missing parent directories. Default false. */
  readonly createParents?: boolean;
  /** Kept with the version; by default those of a local file. */
  readonly attributes?: FileAttributes;
  /** Told whenever bytes moved. `totalBytes` is undefined for a stream. */
  readonly onProgress?: (progress: TransferProgress) => void;
  /** Told, about once a second, while there is no room until that of deleted files is back; for 15 min at most. */
  readonly onWaiting?: (reason: HoldfastError) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface TransferProgress {
  /** May go back a little when an attempt was in vain. */
  readonly transferredBytes: number;
  readonly totalBytes: number | undefined;
}

export interface UploadResult {
  readonly path: string;
  readonly sizeBytes: number;
  readonly version: number;
  /** As an Entry has it. */
  readonly contentDigest?: string;
  /** How many copies there are now: `fewest` of `wanted`, over `chunks` chunks (0 for an empty file). */
  readonly copies: Durability;
}

/** Sent at once by default: two fill one machine and more of them cost its cores more a byte; far links want more. */
const defaultConcurrency = 3;
/**
 * Chunks beside these that keepers have received and still sync. A sync of 16 MiB takes a third of the time that the
 * bytes take to arrive, so this keeps the senders busy; what waits keeps its part of the client's
 * memory: 3 MiB of a file, all of its bytes of a stream.
 */
export const maxUnconfirmed = 4;
const maxConcurrency = 64;

/** What must be at the path when it is committed: as FileVersion has it in the contract. */
export interface Place {
  readonly expectedVersion?: number | undefined;
  readonly appendToVersion?: number | undefined;
}

/** Finds a place to commit at, and another one when that is taken: a refused commit may be tried again. */
type Placing = <T>(commit: (place: Place) => Promise<T>) => Promise<T>;

/** Uploads `source` and closes it. */
export async function upload(
  context: ClientContext,
  source: ChunkSource,
  path: string,
  options: UploadOptions = {},
  placing?: Placing,
): Promise<UploadResult> {
  try {
    return await new Upload(context, source, path, options, placing).run();
  } catch (error) {
    // Whatever the caller's abort led to on the way, it is the reason, unless nobody knows what it led to.
    if (!isOutcomeUnknown(error)) throwIfCancelled(options.signal);
    throw error;
  } finally {
    await source.close();
  }
}

/** A plan that is checked before anything is sent. */
export function checkConcurrency(concurrency = defaultConcurrency): number {
  if (Number.isSafeInteger(concurrency) && concurrency >= 1 && concurrency <= maxConcurrency) {
    return concurrency;
  }
  throw new HoldfastError(
    'INVALID_ARGUMENT',
    `concurrency must be 1 to ${maxConcurrency}, not ${concurrency}`,
  );
}

/** All that was written, in the order of the file. */
interface WrittenFile {
  readonly chunks: readonly SealedChunk[];
  readonly sizeBytes: number;
  readonly contentDigest: Buffer | undefined;
}

class Upload {
  readonly #context: ClientContext;
  readonly #source: ChunkSource;
  readonly #path: string;
  readonly #options: UploadOptions;
  readonly #concurrency: number;
  readonly #placing: Placing;
  /** Aborted by the caller's signal and by the first failure, so that no worker outlives the upload. */
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  #transferredBytes = 0;

  constructor(
    context: ClientContext,
    source: ChunkSource,
    path: string,
    options: UploadOptions,
    placing: Placing = (commit) => commit({ expectedVersion: this.#expectedVersion }),
  ) {
    this.#context = context;
    this.#placing = placing;
    this.#source = source;
    this.#path = path;
    this.#options = options;
    this.#concurrency = checkConcurrency(options.concurrency);
    const { signal } = options;
    this.#signal = firstOf(signal, this.#abort.signal);
    if (splitPath(path).length === 0) {
      throw new HoldfastError('IS_A_DIRECTORY', '"/" is a directory', { remedy: 'Name a file below it.' });
    }
    checkAttributes(options.attributes);
  }

  async run(): Promise<UploadResult> {
    throwIfCancelled(this.#signal);
    const session = await this.#begin();
    try {
      throwIfCancelled(this.#signal);
      checkBlockSize(session.blockSizeBytes);
      return await this.#write(session);
    } catch (error) {
      this.#abort.abort(error);
      // A commit that got no answer has ended the session already, as far as that was possible.
      if (!isOutcomeUnknown(error)) await endSession(this.#context, session).catch(() => undefined);
      throw error;
    }
  }

  async #begin(): Promise<UploadSession> {
    const { replicas, minWrite, createParents = false } = this.#options;
    const chunkSizeBytes = chunkSizeFor(this.#source.sizeBytes, this.#options.chunkSizeBytes);
    // Of a stream only its first chunk is sure to come, or not even that.
    const wantedChunks = chunksOf(this.#source.sizeBytes, chunkSizeBytes) ?? 1;
    const request = {
      path: this.#path,
      ...(replicas !== undefined && { replicas }),
      ...(minWrite !== undefined && { minWrite }),
      expectedVersion: this.#expectedVersion,
      createParents,
      allocateCount: Math.min(wantedChunks, this.#concurrency),
      chunkSizeBytes,
    };
    return openSession(this.#context, request, this.#room);
  }

  get #room(): RoomOptions {
    return { signal: this.#signal, onWaiting: this.#options.onWaiting };
  }

  async #write(session: UploadSession): Promise<UploadResult> {
    const chunks = chunksOf(this.#source.sizeBytes, cutSizeFor(session.chunkSizeBytes));
    // Twice the senders: a call to the tracker for every so many chunks.
    const allocator = new ChunkAllocator(this.#context, session, chunks, this.#concurrency * 2);
    const renewing = allocator.renewUntilStopped(this.#signal);
    const writing = this.#writeChunks(session, allocator).finally(() => allocator.stop());
    const [written] = await this.#allOrNothing([writing, renewing]);
    throwIfCancelled(this.#signal);
    await this.#source.checkUnchanged();
    const remaining = await allocator.remainingSealed(this.#signal);
    return this.#placing((place) => this.#commit(session, written, remaining, place));
  }

  /** Like Promise.all, but the first failure aborts the others and all of them are waited for. */
  async #allOrNothing<T extends readonly Promise<unknown>[]>(
    work: readonly [...T],
  ): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
    for (const promise of work) promise.catch((error: unknown) => this.#abort.abort(error));
    await Promise.allSettled(work);
    // The first failure is the abort's reason; those that followed only say that they were cancelled.
    if (this.#abort.signal.aborted) throw this.#abort.signal.reason;
    return await Promise.all(work);
  }

  /** All chunks in the order of the file: `concurrency` are sent at a time, and `maxUnconfirmed` more get durable. */
  async #writeChunks(session: UploadSession, allocator: ChunkAllocator): Promise<WrittenFile> {
    const writer = new ChunkWriter(this.#context, session, allocator, pLimit(this.#concurrency));
    const oneAtATime = pLimit(1);
    const chunkSizeBytes = cutSizeFor(session.chunkSizeBytes);
    const chunks: SealedChunk[] = [];
    const digest = new ContentDigest();
    let begun = 0;
    const work = async (): Promise<void> => {
      for (;;) {
        const chunk = await oneAtATime(() => this.#source.next(chunkSizeBytes, this.#signal));
        if (!chunk) return;
        try {
          if (begun++ >= limits.maxExtentsPerCommit) throw tooManyChunks(chunkSizeBytes);
          const { checksums, ...sealed } = await awaitingRoom(this.#context, this.#room, () =>
            writer.write(chunk, this.#signal, (bytes) => this.#progress(bytes)),
          );
          allocator.seal(sealed);
          // Receipts are the tracker's now; what the commit needs of a chunk is small.
          chunks.push({ ...sealed, receipts: [] });
          // A tracker with blocks of another size gets a file without a digest.
          if (session.blockSizeBytes === limits.blockSizeBytes) {
            digest.add(sealed.fileOffset, { lengthBytes: sealed.lengthBytes, checksums });
          }
        } finally {
          chunk.release();
        }
      }
    };
    await this.#allOrNothing(Array.from({ length: this.#concurrency + maxUnconfirmed }, work));
    chunks.sort((a, b) => a.fileOffset - b.fileOffset);
    const sizeBytes = chunks.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    return { chunks, sizeBytes, contentDigest: digest.digest(sizeBytes) };
  }

  async #commit(
    session: UploadSession,
    { chunks, sizeBytes, contentDigest: writtenDigest }: WrittenFile,
    sealed: readonly SealedChunk[],
    place: Place,
  ): Promise<UploadResult> {
    const { createParents = false, attributes = this.#source.attributes } = this.#options;
    // Of what comes before nothing is known here.
    const contentDigest = place.appendToVersion === undefined ? writtenDigest : undefined;
    const file = {
      path: this.#path,
      sizeBytes,
      extents: chunks.map(({ chunkId, lengthBytes }) => ({ chunkId, chunkOffset: 0, lengthBytes })),
      ...place,
      createParents,
      attributes,
      contentDigest,
    };
    const request = { files: [file], sealed, skipRefused: false };
    const [committed] = await commitSession(this.#context, session, request, this.#path, this.#signal);
    if (!committed || HoldfastError.is(committed)) {
      throw new Error('a commit without its file', { cause: committed });
    }
    return resultOf(committed, contentDigest);
  }

  get #expectedVersion(): number | undefined {
    return this.#options.expectedVersion ?? (this.#options.overwrite === true ? undefined : 0);
  }

  #progress(bytes: number): void {
    this.#transferredBytes += bytes;
    this.#options.onProgress?.({
      transferredBytes: this.#transferredBytes,
      totalBytes: this.#source.sizeBytes,
    });
  }
}

/** What the uploader of a file is told. */
export function resultOf(committed: CommittedFile, contentDigest: Buffer | undefined): UploadResult {
  const { path, sizeBytes, version, durability } = committed;
  return {
    ...{ path, sizeBytes, version },
    ...(contentDigest && { contentDigest: contentDigest.toString('hex') }),
    copies: durability,
  };
}

/** Checked before the bytes go, because the tracker sees them only at the commit. */
export function checkAttributes({ mode = 0, modifiedAtUnixMs = 0 }: FileAttributes = {}): void {
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) {
    throw new HoldfastError('INVALID_ARGUMENT', `attributes.mode must be 0 to 0o7777, not ${mode}`, {
      remedy: 'Of the mode that fs.stat gives, take the permission bits: mode & 0o7777.',
    });
  }
  if (!Number.isFinite(modifiedAtUnixMs)) {
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `attributes.modifiedAtUnixMs must be milliseconds since 1970, not ${modifiedAtUnixMs}`,
    );
  }
}

/** Only a stream gets this far: for a known size the chunks were made large enough. */
function tooManyChunks(chunkSizeBytes: number): HoldfastError {
  return new HoldfastError(
    'LIMIT_EXCEEDED',
    `the stream has more than ${limits.maxExtentsPerCommit} chunks of ${chunkSizeBytes} bytes`,
    { remedy: 'Upload it with a larger chunk size, up to 64 MiB.' },
  );
}

/** How many chunks a file of this size has; undefined for a stream. */
function chunksOf(sizeBytes: number | undefined, chunkSizeBytes: number): number | undefined {
  return sizeBytes === undefined
    ? undefined
    : Math.ceil(sizeBytes / (chunkSizeBytes || limits.defaultChunkSizeBytes));
}
