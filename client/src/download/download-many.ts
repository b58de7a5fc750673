/**
 * Many files at once. Small ones are located together, those that share a chunk are read together, and each is then
 * written and shown by itself, as a single download does; large ones go the way of a single download beside them. One
 * that fails is one failure.
 *
 * What is on its way is bounded whatever the number of files: `filesAtOnce` requests and open files, and bytes by the
 * memory that all transfers share.
 */
import pLimit from 'p-limit';
import { HoldfastError, copyBytes, hasCode, limits, throwIfCancelled } from '@holdfast/shared';
import { ahead } from '../core/ahead.js';
import { checkOneOfMany } from '../core/check-options.js';
import { digestOfWhole } from '../core/content-digest.js';
import type { ClientContext } from '../core/context.js';
import { costOf, filesAtOnce, forEachOf, isSmall } from '../core/for-each.js';
import { gathered } from '../core/gathered.js';
import { Handover } from '../core/handover.js';
import { MemoryShare } from '../core/memory-share.js';
import { firstOf, orAborted } from '../core/signals.js';
import type { Entry } from '../ports/tracker-api.js';
import { type ChunkRun, type PlacedFile, chunkRuns } from './chunk-runs.js';
import type { DownloadOptions, DownloadResult, DownloadTarget } from './download.js';
import { locateFiles } from './locate.js';
import { readKnownRange } from './range-reader.js';

export interface FileToDownload {
  /** From `list` or `stat`: exactly this version, or what its path shows if that one is gone. */
  readonly entry: Entry;
  readonly localPath: string;
}

/** What became of one file. */
export type DownloadOutcome<File extends FileToDownload = FileToDownload> =
  | {
      readonly file: File;
      readonly result: DownloadResult;
      /** From when its bytes were asked for, alone or with others', until it was there. */
      readonly durationMs: number;
      readonly error?: undefined;
    }
  | { readonly file: File; readonly result?: undefined; readonly error: unknown };

/** The local side of many downloads. */
export interface LocalFiles {
  /** @throws HoldfastError INVALID_ARGUMENT for what a program handed over by mistake */
  check(file: FileToDownload): void;
  /**
   * Whether `create` will do for the path; a device or a link takes a `download`.
   *
   * @throws HoldfastError ALREADY_EXISTS, IS_A_DIRECTORY, PERMISSION_DENIED …
   */
  isPlain(file: FileToDownload): Promise<boolean>;
  /** A target at a path that is plain. */
  create(file: FileToDownload): Promise<DownloadTarget>;
  /** All of a single download. */
  download(file: FileToDownload, options: DownloadOptions): Promise<DownloadResult>;
}

/** Outcomes that wait for whoever takes them: as many as two calls locate. */
const maxWaitingOutcomes = 2 * limits.maxLocatedFiles;
/** Nobody notices so short a rest, and a walk of many directories fills most of a call in it. */
const lingerMs = 100;

interface Job {
  readonly cost: number;
  readonly run: () => Promise<void>;
}

/**
 * Fetches the files and yields what became of each, in the order in which that is known. Leaving the iteration ends
 * those on their way and leaves nothing of them behind.
 *
 * @throws HoldfastError CANCELLED; what `files` throws, after what came of the files before
 */
export async function* downloadMany<File extends FileToDownload>(
  context: ClientContext,
  files: Iterable<File> | AsyncIterable<File>,
  local: LocalFiles,
  options: DownloadOptions = {},
): AsyncGenerator<DownloadOutcome<File>, void, undefined> {
  const left = new AbortController();
  const signal = firstOf(options.signal, left.signal);
  const outcomes = new Handover<DownloadOutcome<File>>(maxWaitingOutcomes);
  const downloads = new ManyDownloads<File>(context, local, { ...options, signal }, outcomes);
  const working = downloads.run(files).then(
    () => outcomes.end(),
    (error: unknown) => outcomes.fail(error),
  );
  try {
    yield* outcomes.taken();
    throwIfCancelled(options.signal);
  } finally {
    left.abort(new HoldfastError('CANCELLED', 'whoever took the files left'));
    await working;
  }
}

class ManyDownloads<File extends FileToDownload> {
  readonly #context: ClientContext;
  readonly #local: LocalFiles;
  readonly #options: DownloadOptions & { readonly signal: AbortSignal };
  readonly #outcomes: Handover<DownloadOutcome<File>>;
  readonly #memory: MemoryShare;
  readonly #oneAtATime = pLimit(1);
  readonly #openFiles = pLimit(filesAtOnce);
  #transferredBytes = 0;
  #resumedBytes = 0;

  constructor(
    context: ClientContext,
    local: LocalFiles,
    options: DownloadOptions & { readonly signal: AbortSignal },
    outcomes: Handover<DownloadOutcome<File>>,
  ) {
    this.#context = context;
    this.#local = local;
    this.#options = options;
    this.#outcomes = outcomes;
    this.#memory = new MemoryShare(context.memory);
  }

  async run(files: Iterable<File> | AsyncIterable<File>): Promise<void> {
    await forEachOf(
      this.#jobs(files),
      filesAtOnce,
      ({ cost }) => cost,
      ({ run }) => run(),
    );
  }

  async *#jobs(files: Iterable<File> | AsyncIterable<File>): AsyncGenerator<Job, void, undefined> {
    const { clock } = this.#context;
    const { signal } = this.#options;
    const count = limits.maxLocatedFiles;
    const coming = ahead(files, count, signal);
    for await (const some of gathered(coming, { count, check: checkOneOfMany, lingerMs, clock, signal })) {
      await orAborted(this.#outcomes.hasRoom(), signal);
      const sound = some.filter((file) => this.#isSound(file));
      const together = sound.filter(({ entry }) => canGoTogether(entry));
      for (const file of sound) if (!canGoTogether(file.entry)) yield this.#alone(file);
      yield* this.#together(together);
    }
  }

  /** False if the file has failed by what it is. */
  #isSound(file: File): boolean {
    try {
      this.#local.check(file);
      return true;
    } catch (error) {
      this.#failed([file], error);
      return false;
    }
  }

  /** Jobs that bring all of `files`, which are small. */
  async *#together(files: readonly File[]): AsyncGenerator<Job, void, undefined> {
    const plain = await Promise.all(files.map((file) => this.#isPlain(file)));
    for (const [index, file] of files.entries()) if (plain[index] === false) yield this.#alone(file);
    const ready = files.filter((_, index) => plain[index] === true);
    const empty = ready.filter(({ entry }) => entry.sizeBytes === 0);
    if (empty.length > 0) {
      const nothing = empty.map((file) => ({ file, bytes: Buffer.alloc(0) }));
      yield { cost: 1, run: () => this.#writeAll(nothing, this.#context.clock.monotonicMs()) };
    }
    const filled = ready.filter(({ entry }) => entry.sizeBytes > 0);
    const placed: PlacedFile<File>[] = [];
    for (const { file, extent } of await this.#locate(filled)) {
      if (extent) placed.push({ file, version: file.entry.version, extent });
      else yield this.#alone(file);
    }
    for (const run of chunkRuns(placed)) yield { cost: 1, run: () => this.#fetchRun(run) };
  }

  /** undefined if the file has failed by what is at its path. */
  async #isPlain(file: File): Promise<boolean | undefined> {
    try {
      return await this.#local.isPlain(file);
    } catch (error) {
      this.#failed([file], error);
      return undefined;
    }
  }

  /** Each with the one extent that holds it; without one if it has others, or is gone. */
  async #locate(files: readonly File[]) {
    if (files.length === 0) return [];
    try {
      const versions = files.map(({ entry }) => entry.version);
      const pages = await locateFiles(this.#context, versions, this.#options.signal);
      return files.map((file, index) => {
        const { sizeBytes, extents = [] } = pages[index] ?? {};
        const whole = extents.length === 1 && sizeBytes === file.entry.sizeBytes;
        return { file, extent: whole ? extents[0] : undefined };
      });
    } catch (error) {
      this.#failed(files, error);
      return [];
    }
  }

  /** A single download. */
  #alone(file: File): Job {
    return { cost: costOf(file.entry.sizeBytes), run: () => this.#fetchAlone(file) };
  }

  async #fetchAlone(file: File): Promise<void> {
    const { clock } = this.#context;
    const startedMs = clock.monotonicMs();
    let [seenBytes, seenResumed] = [0, 0];
    const onProgress: DownloadOptions['onProgress'] = ({ transferredBytes, resumedBytes = 0 }) => {
      this.#moved(transferredBytes - seenBytes, resumedBytes - seenResumed);
      [seenBytes, seenResumed] = [transferredBytes, resumedBytes];
    };
    try {
      const result = await this.#local.download(file, { ...this.#options, onProgress });
      this.#outcomes.give({ file, result, durationMs: clock.monotonicMs() - startedMs });
    } catch (error) {
      this.#moved(-seenBytes, -seenResumed);
      this.#failed([file], error);
    }
  }

  async #fetchRun({ range, files }: ChunkRun<File>): Promise<void> {
    const { signal } = this.#options;
    const { start, end } = range;
    const startedMs = this.#context.clock.monotonicMs();
    const release = await this.#oneAtATime(() => this.#memory.take(end - start, signal));
    let readBytes = 0;
    try {
      const all = Buffer.allocUnsafeSlow(end - start);
      const cut = files.map(({ file, extent }) => {
        const at = extent.chunkOffset - start;
        return { file, bytes: all.subarray(at, at + extent.lengthBytes) };
      });
      await readKnownRange(
        this.#context,
        range,
        async (data, chunkOffset) => {
          copyBytes(data, all, chunkOffset - start);
          this.#moved(data.length);
          readBytes += data.length;
        },
        () => cut.every(({ file, bytes }) => mayBe(file.entry, bytes)),
        signal,
      );
      // What was bridged or came twice is nobody's, and what several files share was read once.
      this.#moved(files.reduce((sum, { extent }) => sum + extent.lengthBytes, 0) - readBytes);
      await this.#writeAll(cut, startedMs);
    } catch (error) {
      this.#moved(-readBytes);
      // Not necessarily the fault of all of them: one block is lost, or the one version that was asked by is gone.
      if (files.length === 1 || !hasCode(error, 'DATA_LOSS', 'NOT_FOUND')) {
        this.#failed(
          files.map(({ file }) => file),
          error,
        );
      } else await Promise.all(files.map(({ file }) => this.#openFiles(() => this.#fetchAlone(file))));
    } finally {
      release();
    }
  }

  async #writeAll(
    files: readonly { readonly file: File; readonly bytes: Buffer }[],
    startedMs: number,
  ): Promise<void> {
    await Promise.all(
      files.map(({ file, bytes }) => this.#openFiles(() => this.#write(file, bytes, startedMs))),
    );
  }

  async #write(file: File, bytes: Buffer, startedMs: number): Promise<void> {
    const { path, version, sizeBytes, attributes } = file.entry;
    try {
      throwIfCancelled(this.#options.signal);
      const target = await this.#local.create(file);
      try {
        if (bytes.length > 0) await target.write(bytes, 0);
        throwIfCancelled(this.#options.signal);
        await target.finish(attributes);
      } catch (error) {
        await target.discard();
        throw error;
      }
    } catch (error) {
      this.#failed([file], error);
      return;
    }
    const durationMs = this.#context.clock.monotonicMs() - startedMs;
    this.#outcomes.give({ file, result: { path, version, sizeBytes }, durationMs });
  }

  #moved(bytes: number, resumed = 0): void {
    if (bytes === 0) return;
    this.#transferredBytes += bytes;
    this.#resumedBytes += resumed;
    const [transferredBytes, resumedBytes] = [this.#transferredBytes, this.#resumedBytes];
    const progress = { transferredBytes, totalBytes: undefined };
    this.#options.onProgress?.({ ...progress, ...(resumedBytes > 0 && { resumedBytes }) });
  }

  /** An abort is the end of all, and no file's failure. */
  #failed(files: readonly File[], error: unknown): void {
    if (this.#options.signal.aborted) return;
    for (const file of files) this.#outcomes.give({ file, error });
  }
}

/** Whether these can be the bytes of the file, as far as anybody knows. */
function mayBe({ contentDigest }: Entry, bytes: Buffer): boolean {
  return contentDigest === undefined || digestOfWhole(bytes).toString('hex') === contentDigest;
}

/** Anything else goes alone, and a single download says what is wrong with it. */
function canGoTogether({ type, version, sizeBytes }: Entry): boolean {
  return type === 'file' && Number.isSafeInteger(version) && version > 0 && isSmall(sizeBytes);
}
