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
import { type ResumeNotice, type ResumeState, isWorthKeeping } from '../core/resume.js';
import { firstOf } from '../core/signals.js';
import type {
  CommittedFile,
  Durability,
  FileAttributes,
  FileVersion,
  SealedChunk,
  UploadSession,
} from '../ports/tracker-api.js';
import type { AskedCommit, UploadJournal, WrittenChunk } from '../ports/upload-journal.js';
import { ChunkAllocator } from './allocator.js';
import type { ChunkSource, SourceChunk } from './chunk-source.js';
import { ChunkWriter } from './chunk-writer.js';
import { chunkSizeFor, cutSizeFor } from './plan.js';
import { type FoundUpload, assertFree, commitAgain, commitResumable, findUpload } from './resume.js';
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
  /**
   * Writes down how far the upload of a local file of at least two chunks is, so that the same upload goes on there
   * after it was interrupted or killed, for a day. A directory to write that into, or true for the user's usual one.
   * Where it cannot be written, the upload goes on without. Default false.
   */
  readonly resume?: boolean | string;
  /** Told how an upload with `resume` begins, and that what is there is kept when it fails. */
  readonly onResume?: (notice: ResumeNotice) => void;
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
  /** How many of `transferredBytes` an interrupted transfer had moved; absent where none. */
  readonly resumedBytes?: number;
}

export interface UploadResult {
  readonly path: string;
  readonly sizeBytes: number;
  /** How much of it an interrupted upload had stored before; absent where nothing. */
  readonly resumedBytes?: number;
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
/** As long as a tracker gives by default: what was interrupted in the evening goes on the next morning. */
const resumableLeaseMs = 24 * 60 * 60_000;

/** What must be at the path when it is committed: as FileVersion has it in the contract. */
export interface Place {
  readonly expectedVersion?: number | undefined;
  readonly appendToVersion?: number | undefined;
}

/** Finds a place to commit at, and another one when that is taken: a refused commit may be tried again. */
export type Placing = <T>(commit: (place: Place) => Promise<T>) => Promise<T>;

interface UploadParts {
  /** By default it is committed as the options say. */
  readonly placing?: Placing;
  /** Of an upload that may be gone on with; it has no placing of its own. */
  readonly journal?: UploadJournal | undefined;
}

/** Uploads `source` and closes it, and lets go of the journal. */
export async function upload(
  context: ClientContext,
  source: ChunkSource,
  path: string,
  options: UploadOptions = {},
  parts: UploadParts = {},
): Promise<UploadResult> {
  try {
    return await new Upload(context, source, path, options, parts).run();
  } catch (error) {
    // Whatever the caller's abort led to on the way, it is the reason, unless nobody knows what it led to.
    if (!isOutcomeUnknown(error)) throwIfCancelled(options.signal);
    throw error;
  } finally {
    await parts.journal?.release();
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

/** Collects what was written, in any order. */
class WrittenParts {
  readonly #chunks: SealedChunk[] = [];
  readonly #digest = new ContentDigest();
  readonly #hasDigest: boolean;

  /** A tracker with blocks of another size gets a file without a digest. */
  constructor({ blockSizeBytes }: UploadSession) {
    this.#hasDigest = blockSizeBytes === limits.blockSizeBytes;
  }

  add(chunk: WrittenChunk): void {
    const { fileOffset, lengthBytes, checksums } = chunk;
    // Receipts are the tracker's now; what the commit needs of a chunk is small.
    this.#chunks.push({ ...sealedOf(chunk), receipts: [] });
    if (this.#hasDigest) this.#digest.add(fileOffset, { lengthBytes, checksums });
  }

  whole(): WrittenFile {
    const chunks = this.#chunks.sort((a, b) => a.fileOffset - b.fileOffset);
    const sizeBytes = chunks.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    return { chunks, sizeBytes, contentDigest: this.#digest.digest(sizeBytes) };
  }
}

function sealedOf({ checksums: _, ...sealed }: WrittenChunk): SealedChunk {
  return sealed;
}

const nothingStored: FoundUpload['stored'] = new Map();

class Upload {
  readonly #context: ClientContext;
  readonly #source: ChunkSource;
  readonly #path: string;
  readonly #options: UploadOptions;
  readonly #concurrency: number;
  readonly #placing: Placing;
  readonly #journal: UploadJournal | undefined;
  /** Aborted by the caller's signal and by the first failure, so that no worker outlives the upload. */
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  #transferredBytes = 0;
  /** On stable storage, and of that what was there before. */
  #storedBytes = 0;
  #resumedBytes = 0;

  constructor(
    context: ClientContext,
    source: ChunkSource,
    path: string,
    options: UploadOptions,
    { placing = (commit) => commit({ expectedVersion: this.#expectedVersion }), journal }: UploadParts,
  ) {
    this.#context = context;
    this.#placing = placing;
    this.#journal = journal;
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
    let session: Pick<UploadSession, 'uploadId'> | undefined = this.#journal?.left;
    try {
      const found = (await this.#goOn()) ?? { session: await this.#begin(), stored: nothingStored };
      if ('result' in found) return found.result;
      ({ session } = found);
      throwIfCancelled(this.#signal);
      const result = await this.#write(found.session, found.stored);
      await this.#journal?.forget();
      return result;
    } catch (error) {
      this.#abort.abort(error);
      if (this.#journal && isWorthKeeping(error, this.#options.signal)) {
        const [storedBytes, totalBytes] = [this.#storedBytes, this.#source.sizeBytes ?? 0];
        if (storedBytes > 0) this.#tell({ kind: 'kept', storedBytes, totalBytes });
      } else {
        // A commit that got no answer has ended the session already, as far as that was possible.
        if (session && !isOutcomeUnknown(error)) await this.#end(session);
        // Only then: a session that is open for long is one that somebody knows.
        await this.#journal?.forget();
      }
      throw error;
    }
  }

  /** What an interrupted upload left, or its result if it was over; undefined: this one begins anew. */
  async #goOn(): Promise<FoundUpload | { readonly result: UploadResult } | undefined> {
    const { left, abandoned = [] } = this.#journal ?? {};
    for (const uploadId of abandoned) await this.#end({ uploadId });
    const { sizeBytes } = this.#source;
    if (!left || sizeBytes === undefined) return undefined;
    const found = await findUpload(this.#context, left, sizeBytes, this.#signal);
    const storedBytes = found?.storedBytes ?? 0;
    if (found && !found.isCommitted) {
      // Not only when the rest was sent.
      if (this.#expectedVersion === 0) await assertFree(this.#context, this.#path, this.#signal);
      this.#resumed(storedBytes);
      this.#tell({ kind: 'resumed', storedBytes, totalBytes: sizeBytes });
      return found;
    }
    if (found && left.commit && storedBytes === sizeBytes) {
      const parts = new WrittenParts(found.session);
      for (const chunk of found.stored.values()) parts.add(chunk);
      const written = parts.whole();
      const files = [fileOf(this.#path, written, left.commit)];
      const request = { ...left.commit, uploadId: left.uploadId, files, sealed: [], skipRefused: false };
      const committed = await commitAgain(this.#context, request, this.#path, this.#signal);
      if (committed) {
        await this.#journal?.forget();
        this.#resumed(sizeBytes);
        return { result: this.#result(committed, written.contentDigest) };
      }
    }
    this.#tell({ kind: 'session-over' });
    await this.#end(left);
    return undefined;
  }

  #resumed(storedBytes: number): void {
    this.#storedBytes = storedBytes;
    this.#resumedBytes = storedBytes;
    this.#progress(storedBytes);
  }

  #tell(notice: ResumeState): void {
    this.#options.onResume?.({ path: this.#path, ...notice });
  }

  /** A courtesy: it ends by itself. */
  async #end(session: Pick<UploadSession, 'uploadId'>): Promise<void> {
    await endSession(this.#context, session).catch(() => undefined);
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
    const session = await openSession(this.#context, request, this.#room);
    await this.#journal?.begin(session.uploadId);
    return session;
  }

  get #room(): RoomOptions {
    return { signal: this.#signal, onWaiting: this.#options.onWaiting };
  }

  async #write(session: UploadSession, stored: FoundUpload['stored']): Promise<UploadResult> {
    const all = chunksOf(this.#source.sizeBytes, cutSizeFor(session.chunkSizeBytes));
    const chunks = all === undefined ? undefined : all - stored.size;
    // A session that nobody knows of any more is not to take room for a day.
    const leaseMs = this.#journal?.isKept ? resumableLeaseMs : 0;
    // Twice the senders: a call to the tracker for every so many chunks.
    const allocator = new ChunkAllocator(this.#context, session, chunks, this.#concurrency * 2, leaseMs);
    const renewing = allocator.renewUntilStopped(this.#signal);
    const writing = this.#writeChunks(session, allocator, stored).finally(() => allocator.stop());
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
  async #writeChunks(
    session: UploadSession,
    allocator: ChunkAllocator,
    stored: FoundUpload['stored'],
  ): Promise<WrittenFile> {
    const writer = new ChunkWriter(this.#context, session, allocator, pLimit(this.#concurrency));
    const oneAtATime = pLimit(1);
    const chunkSizeBytes = cutSizeFor(session.chunkSizeBytes);
    const parts = new WrittenParts(session);
    let begun = 0;
    let position = 0;
    const next = async (): Promise<SourceChunk | undefined> => {
      for (let there = stored.get(position); there; there = stored.get(position)) {
        this.#source.skip?.(there.lengthBytes);
        position += there.lengthBytes;
        parts.add(there);
      }
      const chunk = await this.#source.next(chunkSizeBytes, this.#signal);
      position += chunk?.lengthBytes ?? 0;
      return chunk;
    };
    const work = async (): Promise<void> => {
      for (;;) {
        const chunk = await oneAtATime(next);
        if (!chunk) return;
        try {
          if (begun++ >= limits.maxExtentsPerCommit) throw tooManyChunks(chunkSizeBytes);
          const written = await awaitingRoom(this.#context, this.#room, () =>
            writer.write(chunk, this.#signal, (bytes) => this.#progress(bytes)),
          );
          await this.#journal?.seal(written);
          this.#storedBytes += written.lengthBytes;
          allocator.seal(sealedOf(written));
          parts.add(written);
        } finally {
          chunk.release();
        }
      }
    };
    await this.#allOrNothing(Array.from({ length: this.#concurrency + maxUnconfirmed }, work));
    return parts.whole();
  }

  async #commit(
    session: UploadSession,
    written: WrittenFile,
    sealed: readonly SealedChunk[],
    place: Place,
  ): Promise<UploadResult> {
    const { createParents = false, attributes = this.#source.attributes } = this.#options;
    const asked = { ...place, createParents, attributes };
    const file = fileOf(this.#path, written, asked);
    const request = { files: [file], sealed, skipRefused: false };
    const [committed] = await (this.#journal
      ? commitResumable(this.#context, session, request, asked, this.#journal, this.#signal)
      : commitSession(this.#context, session, request, this.#path, this.#signal));
    if (!committed || HoldfastError.is(committed)) {
      throw new Error('a commit without its file', { cause: committed });
    }
    return this.#result(committed, file.contentDigest);
  }

  #result(committed: CommittedFile, contentDigest: Buffer | undefined): UploadResult {
    const resumedBytes = this.#resumedBytes;
    return { ...resultOf(committed, contentDigest), ...(resumedBytes > 0 && { resumedBytes }) };
  }

  get #expectedVersion(): number | undefined {
    return this.#options.expectedVersion ?? (this.#options.overwrite === true ? undefined : 0);
  }

  #progress(bytes: number): void {
    this.#transferredBytes += bytes;
    this.#options.onProgress?.({
      transferredBytes: this.#transferredBytes,
      totalBytes: this.#source.sizeBytes,
      ...(this.#resumedBytes > 0 && { resumedBytes: this.#resumedBytes }),
    });
  }
}

/** The file of a commit. */
function fileOf(
  path: string,
  { chunks, sizeBytes, contentDigest }: WrittenFile,
  asked: Omit<AskedCommit, 'requestId'> & Place,
): FileVersion {
  const { expectedVersion, appendToVersion, createParents, attributes } = asked;
  return {
    ...{ path, sizeBytes, expectedVersion, appendToVersion, createParents, attributes },
    extents: chunks.map(({ chunkId, lengthBytes }) => ({ chunkId, chunkOffset: 0, lengthBytes })),
    // Of what comes before nothing is known here.
    contentDigest: appendToVersion === undefined ? contentDigest : undefined,
  };
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
