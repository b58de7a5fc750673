/**
 * A range of a file as bytes in order. Segments are fetched side by side ahead of the reader, within the memory
 * that all transfers share, and handed over in order, the one whose turn it is as its bytes come; a reader that
 * stops stops the fetching.
 */
import { type Bytes, HoldfastError, splitPath } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { firstOf } from '../core/signals.js';
import type { LocatedExtent, LocateChunksRequest, LocatedPage } from '../ports/tracker-api.js';
import type { TransferProgress } from '../upload/upload.js';
import { locatedExtents, locatePage } from './locate.js';
import { SegmentFetch } from './segment-fetch.js';

export interface ReadOptions {
  /** The first byte, from 0. Default 0. */
  readonly start?: number;
  /** The last byte, as in node:fs: it is included. Default: the end of the file. */
  readonly end?: number;
  /** Told whenever bytes were handed over; `totalBytes` is the length of the range. */
  readonly onProgress?: (progress: TransferProgress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Long enough that a segment's request is cheap beside its bytes, short enough that the first comes soon. */
const segmentBytes = 4 * 1024 * 1024;
/** One whose turn it is and two ahead: a fourth costs a tenth more CPU time a byte, out of the caches, and gains nothing. */
const segmentsAtOnce = 3;

interface Segment {
  readonly extent: LocatedExtent;
  /** In the chunk. */
  readonly start: number;
  readonly end: number;
}

interface Pending {
  readonly fetch: SegmentFetch;
  readonly release: () => void;
}

function checkRange({ start = 0, end = Infinity }: ReadOptions): { start: number; end: number } {
  const isOffset = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (!isOffset(start) || !(end === Infinity || isOffset(end))) {
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `start and end must be whole numbers from 0, not ${start}, ${end}`,
    );
  }
  if (end < start - 1) throw new HoldfastError('INVALID_ARGUMENT', `end (${end}) is before start (${start})`);
  return { start, end: end + 1 };
}

/** A range of one version, whose bytes can be read once. */
export interface OpenedRange {
  /** Of the range, cut at the end of the file. */
  readonly lengthBytes: number;
  /** The bytes in order. Leaving the iteration stops the fetching. */
  bytes(): AsyncGenerator<Bytes, void, undefined>;
}

/**
 * Finds the bytes from `start` to `end` of what `target` names, which stays one version from the first byte to the
 * last. A range past the end of the file is cut there.
 */
export async function openRange(
  context: ClientContext,
  target: LocateChunksRequest['target'],
  options: ReadOptions = {},
): Promise<OpenedRange> {
  if ('path' in target) splitPath(target.path);
  const { start, end } = checkRange(options);
  // 0 would mean: to the end.
  const lengthBytes = end === Infinity ? 0 : Math.max(1, end - start);
  const first = await locatePage(context, { target, offset: start, lengthBytes }, options.signal);
  const endOffset = Math.max(start, Math.min(end, first.sizeBytes));
  return {
    lengthBytes: endOffset - start,
    bytes: () => bytesOf(context, first, { start, end: endOffset }, options),
  };
}

/** The bytes of `openRange`, found when the first of them is asked for. */
export async function* readBytes(
  context: ClientContext,
  target: LocateChunksRequest['target'],
  options: ReadOptions = {},
): AsyncGenerator<Bytes, void, undefined> {
  yield* (await openRange(context, target, options)).bytes();
}

async function* bytesOf(
  context: ClientContext,
  first: LocatedPage,
  { start, end }: { readonly start: number; readonly end: number },
  { signal: outer, onProgress }: ReadOptions,
): AsyncGenerator<Bytes, void, undefined> {
  const abort = new AbortController();
  const signal = firstOf(outer, abort.signal);
  const segments = segmentsOf(locatedExtents(context, first, end, signal), start, end);
  const pending: Pending[] = [];
  let transferredBytes = 0;
  let segment = await nextOf(segments);
  try {
    while (segment || pending.length > 0) {
      while (segment && pending.length < segmentsAtOnce) {
        // The segment that the reader waits for needs no room; those ahead of it take what is free and never
        // wait for it, because the reader of another stream may be this stream's own reader.
        const noRoomNeeded = pending.length === 0 ? () => undefined : undefined;
        const release = noRoomNeeded ?? context.memory.tryTake(segment.end - segment.start);
        if (!release) break;
        const range = { version: first.version, ...segment };
        pending.push({ fetch: new SegmentFetch(context, range, signal), release });
        segment = await nextOf(segments);
      }
      const next = pending.shift();
      try {
        if (!next) continue;
        for await (const bytes of next.fetch.bytes()) {
          transferredBytes += bytes.length;
          onProgress?.({ transferredBytes, totalBytes: end - start });
          yield bytes;
        }
      } finally {
        next?.release();
      }
    }
  } finally {
    abort.abort(new HoldfastError('CANCELLED', 'the reader left'));
    for (const { release } of pending) release();
  }
}

async function nextOf<T>(items: AsyncGenerator<T, void, undefined>): Promise<T | undefined> {
  return (await items.next()).value ?? undefined;
}

/** Cuts extents to the range and into segments. */
async function* segmentsOf(
  extents: AsyncIterable<LocatedExtent>,
  startOffset: number,
  endOffset: number,
): AsyncGenerator<Segment, void, undefined> {
  for await (const extent of extents) {
    const { fileOffset, lengthBytes, chunkOffset } = extent;
    const toChunk = chunkOffset - fileOffset;
    const last = Math.min(endOffset, fileOffset + lengthBytes) + toChunk;
    for (let start = Math.max(startOffset, fileOffset) + toChunk; start < last;) {
      // Cuts lie on multiples in the chunk, so that no block is sent twice.
      const end = Math.min(last, (Math.floor(start / segmentBytes) + 1) * segmentBytes);
      yield { extent, start, end };
      start = end;
    }
  }
}
