/**
 * Many files in one transfer: small ones are read into packs, several of which are on their way at once, and large
 * ones go as single uploads beside them.
 *
 * Promise: every file that was taken from the iterable has one outcome, and what `upload` promises holds for each: a
 * result means durable and visible, an error that the path shows what it showed before, unless it says that nobody
 * knows. One file's failure is its own. Memory and open files do not grow with the number of files.
 */
import pLimit, { type LimitFunction } from 'p-limit';
import {
  ByteBudget,
  HoldfastError,
  cancelled,
  fromErrno,
  hasCode,
  limits,
  splitPath,
  throwIfCancelled,
} from '@holdfast/shared';
import { checkOneOfMany, checkOptions } from '../core/check-options.js';
import type { ClientContext } from '../core/context.js';
import { digestOfWhole } from '../core/content-digest.js';
import { MemoryShare } from '../core/memory-share.js';
import { isOutcomeUnknown, outcomeUnknown } from '../core/outcome.js';
import { Outbox } from '../core/outbox.js';
import { costOf, filesAtOnce } from '../core/for-each.js';
import { alreadyExists } from '../core/refusals.js';
import { firstOf, orAborted } from '../core/signals.js';
import type { FileAttributes, FileVersion, SealedChunk, UploadSession } from '../ports/tracker-api.js';
import { ChunkAllocator } from './allocator.js';
import type { ChunkSource } from './chunk-source.js';
import { ChunkWriter } from './chunk-writer.js';
import { Pack, type PackedFile, maxPackBytes, maxPackFiles, maxPackedFileBytes } from './pack.js';
import { chunkSizeFor } from './plan.js';
import { type RoomOptions, awaitingRoom } from './room.js';
import { commitSession, endSession, openSession } from './session.js';
import {
  type UploadOptions,
  type UploadResult,
  checkAttributes,
  checkConcurrency,
  maxUnconfirmed,
  resultOf,
  upload,
} from './upload.js';

/** A file of a transfer of many. A program may add what it wants to find again in the outcome. */
export interface FileToUpload<Source = unknown> {
  readonly source: Source;
  /** Where to, absolute. Of two files with one path the later one goes after the earlier one. */
  readonly path: string;
  /** Kept with the version; by default those of a local file. */
  readonly attributes?: FileAttributes;
  /** Replaces only exactly this version; `overwrite` then does not matter. */
  readonly expectedVersion?: number;
  /** Makes missing parent directories. Default: as the transfer's. */
  readonly createParents?: boolean;
}

/** What became of one file: a result or an error. */
export type UploadOutcome<File extends FileToUpload = FileToUpload> =
  | { readonly file: File; readonly result: UploadResult; readonly error?: undefined }
  | { readonly file: File; readonly error: HoldfastError; readonly result?: undefined };

/** As of a single upload. `onProgress` is told the bytes of all files together, whose total is not known. */
export type UploadManyOptions = Omit<UploadOptions, 'attributes' | 'expectedVersion'>;

/**
 * Files that are open to be read into packs at once: more than the threads that Node reads with, so that none of them
 * waits.
 */
const openAtOnce = 16;
/** A pack that has waited this long for more files goes as it is: whoever makes them may be slow. */
const lingerMs = 1_000;

/** Questions to the tracker at once, for one pack. */
const askedAtOnce = 16;

/** A pack that files are read into. */
interface Filling<File> {
  readonly pack: Pack<File>;
  readonly reads: Promise<void>[];
  /** Those that could not be read. */
  readonly unread: Set<File>;
  /** Stops the waiting for more. */
  cancelTimer(): void;
  /** Gives memory and turn back. */
  release(): void;
}

/** A single upload; closes its source. */
type UploadAlone = (source: ChunkSource, path: string, options: UploadOptions) => Promise<UploadResult>;

/**
 * @param open opens a file's source; rejects with a HoldfastError if it cannot be read
 * @param alone uploads a file that is not small
 * @throws HoldfastError CANCELLED; INVALID_ARGUMENT for what is no file at all, and what the iterable throws, after all
 *   outcomes of what it gave before
 */
export function uploadMany<File extends FileToUpload>(
  context: ClientContext,
  files: Iterable<File> | AsyncIterable<File>,
  open: (file: File, signal: AbortSignal) => Promise<ChunkSource>,
  options: UploadManyOptions = {},
  alone: UploadAlone = (source, path, own) => upload(context, source, path, own),
): AsyncGenerator<UploadOutcome<File>, void, undefined> {
  return new ManyUpload(context, files, open, options, alone).run();
}

class ManyUpload<File extends FileToUpload> {
  readonly #context: ClientContext;
  readonly #files: Iterable<File> | AsyncIterable<File>;
  readonly #openSource: (file: File, signal: AbortSignal) => Promise<ChunkSource>;
  readonly #options: UploadManyOptions;
  readonly #alone: UploadAlone;
  readonly #packBytes: number;
  readonly #senders: LimitFunction;
  readonly #memory: MemoryShare;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #outcomes = new Outbox<UploadOutcome<File>>(2 * maxPackFiles);
  /** Turns of files that are open, of packs that are underway, and of files that go alone; counted in ones. */
  readonly #openTurns = new ByteBudget(openAtOnce);
  readonly #packTurns: ByteBudget;
  readonly #aloneTurns = new ByteBudget(filesAtOnce);
  /** The last of the files that were taken, when it has its place: they get theirs in the order of their coming. */
  #placed: Promise<void> = Promise.resolve();
  #filling: Filling<File> | undefined;
  readonly #running = new Set<Promise<void>>();
  /** Paths of files that have no outcome yet. */
  readonly #underway = new Set<string>();
  /** A path showed a file already: packs ask before they are sent, until one finds nothing of the kind. */
  #asksFirst = false;
  #transferredBytes = 0;
  #resumedBytes = 0;

  constructor(
    context: ClientContext,
    files: Iterable<File> | AsyncIterable<File>,
    open: (file: File, signal: AbortSignal) => Promise<ChunkSource>,
    options: UploadManyOptions,
    alone: UploadAlone,
  ) {
    const concurrency = checkConcurrency(options.concurrency);
    // Also for what it throws.
    chunkSizeFor(undefined, options.chunkSizeBytes);
    this.#context = context;
    this.#files = files;
    this.#openSource = open;
    this.#options = options;
    this.#alone = alone;
    this.#packBytes = Math.min(maxPackBytes, options.chunkSizeBytes ?? maxPackBytes);
    this.#senders = pLimit(concurrency);
    this.#packTurns = new ByteBudget(concurrency + maxUnconfirmed);
    this.#memory = new MemoryShare(context.memory);
    this.#signal = firstOf(options.signal, this.#abort.signal);
  }

  async *run(): AsyncGenerator<UploadOutcome<File>, void, undefined> {
    throwIfCancelled(this.#signal);
    const working = this.#work().then(
      () => this.#outcomes.end(),
      (error: unknown) => this.#outcomes.end({ error }),
    );
    try {
      yield* this.#outcomes.items();
    } finally {
      // Whoever stops asking wants no more of it.
      this.#abort.abort(cancelled());
      await working;
    }
  }

  async #work(): Promise<void> {
    try {
      await this.#takeAll();
    } finally {
      await this.#placed;
      this.#send();
      while (this.#running.size > 0) await Promise.all(this.#running);
    }
    throwIfCancelled(this.#signal);
  }

  async #takeAll(): Promise<void> {
    const files = this.#files;
    const items = Symbol.asyncIterator in files ? files[Symbol.asyncIterator]() : files[Symbol.iterator]();
    try {
      for (;;) {
        await this.#outcomes.room(this.#signal);
        const next = await orAborted(Promise.resolve(items.next()), this.#signal);
        if (next.done === true) return;
        checkOneOfMany(next.value);
        await this.#take(next.value);
      }
    } catch (error) {
      // Not waited for: it may wait for somebody itself.
      void Promise.resolve(items.return?.()).catch(() => undefined);
      throw error;
    }
  }

  /** Opens the next file, beside others, and has it placed after those that came before it. */
  async #take(file: File): Promise<void> {
    const leave = await this.#openTurns.take(1, this.#signal);
    const opening = this.#open(file);
    opening.catch(() => undefined);
    this.#placed = this.#placed.then(() => this.#place(file, opening, leave));
  }

  async #open(file: File): Promise<ChunkSource> {
    if (splitPath(file.path).length === 0) {
      throw new HoldfastError('IS_A_DIRECTORY', '"/" is a directory', { remedy: 'Name a file below it.' });
    }
    const { attributes, expectedVersion, createParents } = file;
    checkOptions({ attributes, expectedVersion, createParents });
    checkAttributes(attributes);
    return this.#openSource(file, this.#signal);
  }

  /** Never rejects. */
  async #place(file: File, opening: Promise<ChunkSource>, leave: () => void): Promise<void> {
    let source: ChunkSource | undefined;
    try {
      source = await opening;
      throwIfCancelled(this.#signal);
      await this.#waitForPath(file.path);
      const { sizeBytes = Infinity } = source;
      if (source.readWhole && sizeBytes <= Math.min(maxPackedFileBytes, this.#packBytes)) {
        const filling = await this.#packFor(file.path, sizeBytes);
        filling.reads.push(this.#read(filling, file, source, sizeBytes).finally(leave));
      } else {
        const giveBack = await this.#aloneTurns.take(costOf(sizeBytes), this.#signal);
        leave();
        this.#run(this.#uploadAlone(file, source).finally(giveBack));
      }
      this.#underway.add(file.path);
    } catch (error) {
      leave();
      await source?.close().catch(() => undefined);
      this.#fail(file, error);
    }
  }

  /** A path that is underway already has to be done first: which of the two it will show is not left to chance. */
  async #waitForPath(path: string): Promise<void> {
    if (!this.#underway.has(path)) return;
    this.#send();
    while (this.#underway.has(path) && this.#running.size > 0) await Promise.race(this.#running);
  }

  async #packFor(path: string, sizeBytes: number): Promise<Filling<File>> {
    if (this.#filling && !this.#filling.pack.fits(path, sizeBytes)) this.#send();
    return (this.#filling ??= await this.#begin());
  }

  async #begin(): Promise<Filling<File>> {
    const giveTurnBack = await this.#packTurns.take(1, this.#signal);
    const giveMemoryBack = await this.#memory.take(this.#packBytes, this.#signal).catch((error: unknown) => {
      giveTurnBack();
      throw error;
    });
    return {
      pack: new Pack<File>(this.#packBytes),
      reads: [],
      unread: new Set(),
      cancelTimer: this.#context.clock.schedule(lingerMs, () => this.#send()),
      release: () => {
        giveMemoryBack();
        giveTurnBack();
      },
    };
  }

  /** Reads a file into its place and closes it. Never rejects. */
  async #read(
    { pack, unread }: Filling<File>,
    file: File,
    source: ChunkSource,
    sizeBytes: number,
  ): Promise<void> {
    const place = pack.lay(file, file.path, sizeBytes, file.attributes ?? source.attributes);
    try {
      await source.readWhole?.(place);
    } catch (error) {
      unread.add(file);
      this.#fail(file, error);
    } finally {
      await source.close().catch(() => undefined);
    }
  }

  /** Sends the pack that is being filled, if there is one. */
  #send(): void {
    const filling = this.#filling;
    if (!filling) return;
    this.#filling = undefined;
    filling.cancelTimer();
    this.#run(this.#store(filling).finally(() => filling.release()));
  }

  #run(work: Promise<void>): void {
    const running: Promise<void> = work.finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Never rejects. */
  async #store({ pack, reads, unread }: Filling<File>): Promise<void> {
    await Promise.all(reads);
    const files = await this.#leaveOutShown(pack.files.filter(({ file }) => !unread.has(file)));
    if (files.length === 0) return;
    try {
      const own = files.length < pack.files.length ? pack.only(files) : pack;
      for (const outcome of await this.#commit(own)) this.#tell(outcome);
    } catch (error) {
      for (const { file } of files) {
        // Nobody knows it of any of them; each is told of itself.
        this.#fail(file, isOutcomeUnknown(error) ? outcomeUnknown(file.path, (error as Error).cause) : error);
      }
    }
  }

  /** So that a transfer which is begun anew does not send everything again to hear that it is there. */
  async #leaveOutShown(files: readonly PackedFile<File>[]): Promise<readonly PackedFile<File>[]> {
    if (!this.#asksFirst) return files;
    const turns = pLimit(askedAtOnce);
    const shown = await Promise.all(files.map((packed) => turns(() => this.#isShown(packed))));
    const left = files.filter((_, index) => shown[index] !== true);
    this.#asksFirst = left.length < files.length;
    files.forEach(({ file, path }, index) => {
      if (shown[index] === true) this.#fail(file, alreadyExists(path));
    });
    return left;
  }

  /** Whether something is where nothing may be. What cannot be learnt is left to the commit. */
  async #isShown({ file, path }: PackedFile<File>): Promise<boolean> {
    if (this.#expectedVersion(file) !== 0 || this.#signal.aborted) return false;
    const { tracker } = this.#context;
    return tracker.getEntry(path, { signal: this.#signal }).then(
      () => true,
      () => false,
    );
  }

  async #commit(pack: Pack<File>): Promise<UploadOutcome<File>[]> {
    const { files } = pack;
    const session = await this.#openSession(pack.lengthBytes);
    try {
      const chunk = pack.lengthBytes === 0 ? undefined : await this.#write(session, pack);
      const request = {
        files: files.map((packed): FileVersion => {
          const { file, path, chunkOffset, sizeBytes, attributes } = packed;
          const extent = chunk && { chunkId: chunk.chunkId, chunkOffset, lengthBytes: sizeBytes };
          return {
            ...{ path, sizeBytes, attributes },
            extents: extent && sizeBytes > 0 ? [extent] : [],
            expectedVersion: this.#expectedVersion(file),
            createParents: file.createParents ?? this.#options.createParents ?? false,
            contentDigest: digestOfWhole(pack.bytesOf(packed)),
          };
        }),
        sealed: chunk ? [chunk] : [],
        skipRefused: true,
      };
      const subject = files[0]?.path ?? '';
      const committed = await commitSession(this.#context, session, request, subject, this.#signal);
      return files.map(({ file }, index) => {
        const what = committed[index];
        if (!what) throw new Error(`a commit that does not tell of ${file.path}`);
        if (HoldfastError.is(what)) {
          this.#asksFirst ||= hasCode(what, 'ALREADY_EXISTS');
          return { file, error: what };
        }
        return { file, result: resultOf(what, request.files[index]?.contentDigest) };
      });
    } catch (error) {
      // A commit that got no answer has ended the session already, as far as that was possible.
      if (!isOutcomeUnknown(error)) await endSession(this.#context, session).catch(() => undefined);
      throw error;
    }
  }

  #openSession(lengthBytes: number): Promise<UploadSession> {
    const { replicas, minWrite } = this.#options;
    const request = {
      path: '',
      ...(replicas !== undefined && { replicas }),
      ...(minWrite !== undefined && { minWrite }),
      createParents: false,
      allocateCount: lengthBytes === 0 ? 0 : 1,
      // A keeper must have room for a whole chunk: no more than it will be.
      chunkSizeBytes: Math.max(limits.minChunkSizeBytes, lengthBytes),
    };
    return openSession(this.#context, request, this.#room);
  }

  async #write(session: UploadSession, pack: Pack<File>): Promise<SealedChunk> {
    const allocator = new ChunkAllocator(this.#context, session, 1, 1);
    const writer = new ChunkWriter(this.#context, session, allocator, this.#senders);
    // If the session is over in spite of it, the commit says so.
    const renewing = allocator.renewUntilStopped(this.#signal).catch(() => undefined);
    try {
      return await awaitingRoom(this.#context, this.#room, () =>
        writer.write(pack.chunk(), this.#signal, (bytes) => this.#moved(bytes)),
      );
    } finally {
      allocator.stop();
      await renewing;
    }
  }

  /** Never rejects. */
  async #uploadAlone(file: File, source: ChunkSource): Promise<void> {
    const { attributes, expectedVersion, createParents } = file;
    let [seen, seenResumed] = [0, 0];
    try {
      const result = await this.#alone(source, file.path, {
        ...this.#options,
        ...(attributes !== undefined && { attributes }),
        ...(expectedVersion !== undefined && { expectedVersion }),
        ...(createParents !== undefined && { createParents }),
        signal: this.#signal,
        onProgress: ({ transferredBytes, resumedBytes = 0 }) => {
          this.#moved(transferredBytes - seen, resumedBytes - seenResumed);
          [seen, seenResumed] = [transferredBytes, resumedBytes];
        },
      });
      this.#tell({ file, result });
    } catch (error) {
      this.#fail(file, error);
    }
  }

  #fail(file: File, error: unknown): void {
    // The abort says it of all of them.
    if (this.#signal.aborted && !isOutcomeUnknown(error)) this.#underway.delete(file.path);
    else this.#tell({ file, error: fromErrno(error, `cannot upload ${JSON.stringify(file.path)}`) });
  }

  #tell(outcome: UploadOutcome<File>): void {
    this.#underway.delete(outcome.file.path);
    this.#outcomes.put(outcome);
  }

  get #room(): RoomOptions {
    return { signal: this.#signal, onWaiting: this.#options.onWaiting };
  }

  #expectedVersion(file: File): number | undefined {
    return file.expectedVersion ?? (this.#options.overwrite === true ? undefined : 0);
  }

  #moved(bytes: number, resumed = 0): void {
    this.#transferredBytes += bytes;
    this.#resumedBytes += resumed;
    const [transferredBytes, resumedBytes] = [this.#transferredBytes, this.#resumedBytes];
    const progress = { transferredBytes, totalBytes: undefined };
    this.#options.onProgress?.({ ...progress, ...(resumedBytes > 0 && { resumedBytes }) });
  }
}
