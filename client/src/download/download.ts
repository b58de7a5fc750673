/**
 * Fetches a whole version into a target, several chunks at a time, each written where it belongs. Memory does
 * not grow with the file: what is verified goes to the target at once.
 */
import pLimit from 'p-limit';
import { type Bytes, HoldfastError, hasCode, throwIfCancelled } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { OrderedDigest } from '../core/content-digest.js';
import { MemoryShare } from '../core/memory-share.js';
import { asking } from '../core/retrying.js';
import { type ResumeNotice, isWorthKeeping } from '../core/resume.js';
import { firstOf } from '../core/signals.js';
import type { Entry, FileAttributes, LocatedExtent, LocatedPage } from '../ports/tracker-api.js';
import type { TransferProgress } from '../upload/upload.js';
import { checkLength, locatedExtents, locatePage } from './locate.js';
import { coversChunk, readKnownRange } from './range-reader.js';

/** Where a download goes. Either `finish` or `discard` is called, once, at the end. */
export interface DownloadTarget {
  /** Writes all of `data` at `position`; calls may overlap and come in any order. */
  write(data: Bytes, position: number): Promise<void>;
  /** Whether what an earlier download left holds exactly the bytes of this extent. */
  holds?(extent: LocatedExtent): Promise<boolean>;
  /** Leaves what is there to a later download; of a target that was opened for that. Never rejects. */
  keep?(): Promise<void>;
  /** All is written: makes it durable and shows it. */
  finish(attributes: FileAttributes): Promise<void>;
  /** Leaves nothing behind. Never rejects. */
  discard(): Promise<void>;
}

export interface DownloadOptions {
  /** Chunks on their way at once, 1 to 64. Default 4. */
  readonly concurrency?: number;
  /** Whether a local file at the target may be replaced. Default false. */
  readonly overwrite?: boolean;
  /** Told whenever bytes moved. */
  readonly onProgress?: (progress: TransferProgress) => void;
  /**
   * Keeps what is there of a file of at least 32 MiB beside the target when it is interrupted or killed, and goes on
   * with it: what matches the digests of the version's chunks is not fetched again. Default false.
   */
  readonly resume?: boolean;
  /** Told how a download with `resume` begins, and that what is there is kept when it fails. */
  readonly onResume?: (notice: ResumeNotice) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface DownloadResult {
  readonly path: string;
  readonly version: number;
  readonly sizeBytes: number;
  /** How much of it an interrupted download had fetched before; absent where nothing. */
  readonly resumedBytes?: number;
}

const defaultConcurrency = 4;
const maxConcurrency = 64;
/**
 * What a stream that is read at once is counted with: more than its flow control window, by trial. With 4 MiB the
 * command line took 230 to 280 MB at 64 streams, with this 170 to 230, and no longer.
 */
const streamMemoryBytes = 12 * 1024 * 1024;

/** The entry of a file, asked for if it is not there already. */
export async function fileEntry(
  context: ClientContext,
  file: string | Entry,
  signal?: AbortSignal,
): Promise<Entry> {
  const entry =
    typeof file === 'string'
      ? await asking(context, signal, () => context.tracker.getEntry(file, { signal }))
      : file;
  if (entry.type === 'file') return entry;
  throw new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(entry.path)} is a directory`, {
    remedy: 'Name a file in it.',
  });
}

/**
 * Fetches the version that `found` names, or the one that is at its path now, if that one went since it was looked up.
 * On failure the target is discarded.
 */
export async function download(
  context: ClientContext,
  found: Entry,
  target: DownloadTarget,
  options: DownloadOptions = {},
): Promise<DownloadResult> {
  const reached: Reached = { transferredBytes: 0, resumedBytes: 0 };
  try {
    const { entry, first } = await begin(context, found, options.signal);
    const { path, version, sizeBytes, attributes } = entry;
    if (first) await fetchAll(context, entry, first, target, options, reached);
    throwIfCancelled(options.signal);
    await target.finish(attributes);
    const { resumedBytes } = reached;
    return { path, version, sizeBytes, ...(resumedBytes > 0 && { resumedBytes }) };
  } catch (error) {
    if (target.keep && isWorthKeeping(error, options.signal)) {
      await target.keep();
      const { transferredBytes: storedBytes } = reached;
      const { path, sizeBytes: totalBytes } = found;
      options.onResume?.({ path, kind: 'kept', storedBytes, totalBytes });
    } else await target.discard();
    // Whatever the caller's abort led to on the way, it is the reason.
    throwIfCancelled(options.signal);
    throw error;
  }
}

/** How far a download is. */
interface Reached {
  transferredBytes: number;
  resumedBytes: number;
}

interface Beginning {
  readonly entry: Entry;
  /** Where the bytes are, from the first on; undefined if there are none. */
  readonly first: LocatedPage | undefined;
}

/** How often a version may be gone before its bytes are asked for: nobody replaces a file as fast as it is looked up. */
const maxVersions = 100;

/** From the first answer on the tracker keeps the version; before it, one that was replaced may go for want of room. */
async function begin(
  context: ClientContext,
  entry: Entry,
  signal?: AbortSignal,
  versionsLeft = maxVersions,
): Promise<Beginning> {
  const { path, version, sizeBytes } = entry;
  if (sizeBytes === 0) return { entry, first: undefined };
  try {
    return {
      entry,
      first: await locatePage(context, { target: { version }, offset: 0, lengthBytes: 0 }, signal),
    };
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error;
    const now = await fileEntry(context, path, signal);
    if (now.version === version) throw error;
    if (versionsLeft > 0) return begin(context, now, signal, versionsLeft - 1);
    throw new HoldfastError(
      'UNAVAILABLE',
      `${JSON.stringify(path)} is replaced faster than it can be read: ${maxVersions} versions were gone`,
      { remedy: 'Try again when it is replaced less often.', cause: error },
    );
  }
}

async function fetchAll(
  context: ClientContext,
  { version, sizeBytes, contentDigest }: Entry,
  first: LocatedPage,
  target: DownloadTarget,
  { concurrency = defaultConcurrency, onProgress, signal }: DownloadOptions,
  reached: Reached,
): Promise<void> {
  if (!Number.isSafeInteger(concurrency) || concurrency < 1 || concurrency > maxConcurrency) {
    throw new HoldfastError('INVALID_ARGUMENT', `concurrency must be 1 to ${maxConcurrency}`);
  }
  // The first failure ends the other streams; which one it was is told by the abort's reason.
  const abort = new AbortController();
  const either = firstOf(signal, abort.signal);
  const memory = new MemoryShare(context.memory);
  checkLength(first, { version, sizeBytes });
  const extents = locatedExtents(context, first, sizeBytes, either);
  const oneAtATime = pLimit(1);
  const moved = (bytes: number): void => {
    reached.transferredBytes += bytes;
    const { transferredBytes, resumedBytes } = reached;
    const progress = { transferredBytes, totalBytes: sizeBytes };
    onProgress?.({ ...progress, ...(resumedBytes > 0 && { resumedBytes }) });
  };
  const next = async () => {
    const { done, value: extent } = await extents.next();
    return done === true || !extent
      ? undefined
      : { extent, release: await memory.take(streamMemoryBytes, either) };
  };
  const work = async (): Promise<void> => {
    for (let turn = await oneAtATime(next); turn; turn = await oneAtATime(next)) {
      const { extent, release } = turn;
      const { chunkOffset: start, lengthBytes, fileOffset } = extent;
      try {
        if (await target.holds?.(extent)) {
          reached.resumedBytes += lengthBytes;
          moved(lengthBytes);
          continue;
        }
        throwIfCancelled(either);
        const range = { version, extent, start, end: start + lengthBytes };
        // A packed file is a part of its chunk, whose digest does not tell of it; the file's own does.
        const isPacked = lengthBytes === sizeBytes && !coversChunk(range);
        // Of the first pass: a second one is right by the digest of its chunk.
        let digest = isPacked && contentDigest !== undefined ? new OrderedDigest() : undefined;
        const isRight = (): boolean => {
          const found = digest?.digest().toString('hex');
          digest = undefined;
          return found === undefined || found === contentDigest;
        };
        // Bytes that come again were counted.
        let countedTo = start;
        await readKnownRange(
          context,
          range,
          async (data, chunkOffset) => {
            digest?.add(data);
            await target.write(data, fileOffset + chunkOffset - start);
            const fresh = chunkOffset + data.length - countedTo;
            if (fresh <= 0) return;
            countedTo += fresh;
            moved(fresh);
          },
          isRight,
          either,
        );
      } finally {
        release();
      }
    }
  };
  const workers = Array.from({ length: concurrency }, () =>
    work().catch((error: unknown) => {
      abort.abort(error);
    }),
  );
  await Promise.all(workers);
  if (abort.signal.aborted) throw abort.signal.reason;
}
