/**
 * Gets a range of one chunk from whoever has it. A slow, dead or corrupt piece costs the time to notice and no
 * more: the next one goes on from the last verified byte. While a keeper is late with its first byte, another one may
 * be asked beside it (core/hedging.ts); the first that answers goes on. When all have failed, the tracker is asked again
 * where the chunk is, because by then a copy may be elsewhere.
 *
 * Promise: exactly the committed bytes, or an error.
 */
import { ChecksumTable, HoldfastError, cancelled, hasCode, throwIfCancelled } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { hedgeDelayMs } from '../core/hedging.js';
import type { LocatedExtent, PieceLocation } from '../ports/tracker-api.js';
import { type Attempt, type Spare, hedge } from './hedge.js';
import { locateAgain } from './locate.js';
import { type ByteSink, readPiece } from './piece-reader.js';

/**
 * How long a keeper may be silent before the next is asked: failover stays under the promised 3 s, also where the one
 * that was asked beside it, half a second later at most (core/hedging.ts), is as silent.
 */
const silenceMs = 2_400;
/** On a machine that is slow as a whole, later rounds are more patient, or no keeper would ever do. */
const maxSilenceMs = 15_000;
/** How long to go on without a byte: a keeper's restart and the tracker's view of it fit in. */
const patienceMs = 30_000;
/** If every copy was seen to be bad, waiting helps only against a copy that is being made right now. */
const corruptPatienceMs = 3_000;
const firstPauseMs = 100;
const maxPauseMs = 2_000;
/** A report is a courtesy to the cluster and must not delay the read. */
const reportDeadlineMs = 5_000;

/** What piece-reader.ts says of a keeper that sends nothing. */
function isSilence(error: HoldfastError): boolean {
  return hasCode(error, 'DEADLINE_EXCEEDED');
}

/** A piece that answered and did not have the right bytes. */
function isBad(error: HoldfastError): boolean {
  return hasCode(error, 'CHECKSUM_MISMATCH', 'DATA_LOSS', 'NOT_FOUND', 'DISK_FAILED');
}

export interface ChunkRange {
  readonly version: number;
  readonly extent: LocatedExtent;
  /** In the chunk, in bytes; `start` < `end`. */
  readonly start: number;
  readonly end: number;
}

/** Whether the chunk's digest tells of the range's bytes too, and not the checksums alone that the piece brings. */
export function coversChunk({ start, end, extent }: ChunkRange): boolean {
  return start === 0 && end === extent.chunkLengthBytes;
}

/**
 * Passes the range to `sink` in order. If it covers a chunk whose digest was wrong as a whole it starts over, so
 * such a sink writes at positions.
 *
 * @throws HoldfastError DATA_LOSS if every copy was corrupt or missing, UNAVAILABLE if some could not be asked,
 *   CANCELLED
 */
export async function readRange(
  context: ClientContext,
  range: ChunkRange,
  sink: ByteSink,
  signal?: AbortSignal,
): Promise<void> {
  await new RangeReader(context, range, sink, signal).run();
}

/**
 * The same for bytes that somebody can tell from others. A range of a chunk has nothing but the checksums that the piece
 * brings; if `isRight` says afterwards that they were made for other bytes, the whole chunk is read instead, which has a
 * digest, and other pieces that may have it. So the sink may be given the range twice.
 */
export async function readKnownRange(
  context: ClientContext,
  range: ChunkRange,
  sink: ByteSink,
  isRight: () => boolean,
  signal?: AbortSignal,
): Promise<void> {
  await readRange(context, range, sink, signal);
  if (coversChunk(range) || isRight()) return;
  const { start, end, extent } = range;
  const whole = { ...range, start: 0, end: extent.chunkLengthBytes };
  const inRange: ByteSink = async (data, chunkOffset) => {
    const from = Math.max(start, chunkOffset);
    const to = Math.min(end, chunkOffset + data.length);
    if (from < to) await sink(data.subarray(from - chunkOffset, to - chunkOffset), from);
  };
  await readRange(context, whole, inRange, signal);
}

class RangeReader {
  readonly #context: ClientContext;
  readonly #range: ChunkRange;
  readonly #sink: ByteSink;
  readonly #signal: AbortSignal | undefined;
  #extent: LocatedExtent;
  /** Checksums of all blocks so far, from whichever piece, when the range is a whole chunk. */
  #table: ChecksumTable | undefined;
  #position: number;
  /** All blocks came and were not those of the chunk: from then on more of them are no progress. */
  #inVain = false;
  #progressAtMs: number;

  constructor(context: ClientContext, range: ChunkRange, sink: ByteSink, signal: AbortSignal | undefined) {
    this.#context = context;
    this.#range = range;
    this.#sink = sink;
    this.#signal = signal;
    this.#extent = range.extent;
    this.#table = this.#newTable();
    this.#position = range.start;
    this.#progressAtMs = context.clock.monotonicMs();
  }

  async run(): Promise<void> {
    const { clock, random, health } = this.#context;
    health.hedges.noteRead();
    for (let round = 0; ; round += 1) {
      const failures = await this.#tryPieces(Math.min(maxSilenceMs, silenceMs * 2 ** round));
      if (failures === undefined) return;
      // Nobody is said to have it any more: every copy there was is bad.
      const allBad = failures.every(isBad) && (failures.length > 0 || this.#extent.pieces.length === 0);
      const waitedMs = clock.monotonicMs() - this.#progressAtMs;
      if (waitedMs > (allBad ? corruptPatienceMs : patienceMs)) throw this.#lost(failures, allBad);
      // An expired token needs a new one and no rest.
      const expired = round === 0 && failures.some((error) => hasCode(error, 'TOKEN_EXPIRED'));
      if (!expired) {
        const pauseMs = Math.min(maxPauseMs, firstPauseMs * 2 ** round) * (0.5 + random.fraction() / 2);
        await clock.sleep(pauseMs, { signal: this.#signal }).catch(() => {
          throw cancelled(this.#signal);
        });
      }
      this.#extent = await locateAgain(this.#context, this.#range.version, this.#extent, this.#signal);
    }
  }

  /** Asks each piece once; undefined when the range is complete, else what went wrong with each. */
  async #tryPieces(patienceWithOneMs: number): Promise<HoldfastError[] | undefined> {
    const { clock, health } = this.#context;
    const failures: HoldfastError[] = [];
    let left = this.#inOrder();
    for (let [piece, other] = left; piece; [piece, other] = left) {
      throwIfCancelled(this.#signal);
      const asked = { first: piece, second: other };
      const first = this.#attempt(piece, patienceWithOneMs);
      const isUrgent = failures.some(isSilence);
      const spare = other && this.#spare(piece, other, patienceWithOneMs, isUrgent);
      const { ended, late } = await hedge(clock, first, spare, this.#signal);
      throwIfCancelled(this.#signal);
      if (late) health.noteLate(piece.keeper.keeperId);
      for (const { attempt, error } of ended) {
        const from = asked[attempt];
        if (!from) continue;
        if (error === undefined) {
          health.noteSuccess(from.keeper.keeperId);
          if (!late) health.notePrompt(from.keeper.keeperId);
          return undefined;
        }
        failures.push(this.#noteFailure(from, error));
        left = left.filter((each) => each !== from);
      }
      // One that came too late has not failed, but others are asked before it.
      if (left.includes(piece)) left = [...left.filter((each) => each !== piece), piece];
    }
    return failures;
  }

  /** What a piece that could not be read failed with. @throws what is not the keeper's fault */
  #noteFailure(piece: PieceLocation, error: unknown): HoldfastError {
    if (error instanceof SinkFailed) throw error.cause;
    if (!HoldfastError.is(error)) throw error;
    // A keeper that answers is well, whatever became of one piece.
    if (isBad(error)) this.#report(piece, error);
    else if (!hasCode(error, 'TOKEN_EXPIRED')) this.#context.health.noteFailure(piece.keeper.keeperId);
    return error;
  }

  /**
   * The piece to ask beside the first one when that is later than other keepers nearly always are. Out of the budget,
   * but where it is urgent, as a keeper was silent: a second one in its turn would take longer than is promised.
   */
  #spare(first: PieceLocation, second: PieceLocation, patienceWithOneMs: number, isUrgent: boolean): Spare {
    const { firstBytes, hedges } = this.#context.health;
    const attempt = this.#attempt(second, patienceWithOneMs);
    return {
      delayMs: hedgeDelayMs(firstBytes.ofOthers(first.keeper.keeperId)),
      attempt: () => (isUrgent || hedges.tryTake() ? attempt : undefined),
    };
  }

  #attempt(piece: PieceLocation, patienceWithOneMs: number): Attempt {
    return (claim, signal) => this.#readFrom(piece, patienceWithOneMs, claim, signal);
  }

  async #readFrom(
    piece: PieceLocation,
    patienceWithOneMs: number,
    claim: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, health } = this.#context;
    const start = this.#position;
    const { end } = this.#range;
    const beganAtMs = clock.monotonicMs();
    let claimed = false;
    const onFirstBlocks = (): void => {
      claim();
      claimed = true;
      health.firstBytes.note(piece.keeper.keeperId, clock.monotonicMs() - beganAtMs);
    };
    const sink: ByteSink = (data, chunkOffset) =>
      this.#sink(data, chunkOffset).catch((cause: unknown) => {
        throw new SinkFailed(cause);
      });
    const onPosition = (position: number): void => {
      this.#position = position;
      if (!this.#inVain) this.#progressAtMs = clock.monotonicMs();
    };
    try {
      const table = this.#table;
      const range = {
        ...{ extent: this.#extent, piece, start, end, silenceMs: patienceWithOneMs, table },
        onFirstBlocks,
      };
      await readPiece(this.#context, range, sink, onPosition, signal);
    } catch (error) {
      // All blocks came and the whole is wrong: nothing of it can be trusted.
      if (claimed && this.#table && hasCode(error, 'CHECKSUM_MISMATCH') && this.#position === end) {
        this.#position = this.#range.start;
        this.#table = this.#newTable();
        // Or keepers whose blocks match and whose chunk does not would be asked for ever.
        this.#inVain = true;
      }
      throw error;
    }
  }

  #newTable(): ChecksumTable | undefined {
    const { end, extent } = this.#range;
    return coversChunk(this.#range) ? new ChecksumTable(end, extent.blockSizeBytes) : undefined;
  }

  /** The tracker's order, with those last that it or this client has had no luck with lately. */
  #inOrder(): PieceLocation[] {
    const { health } = this.#context;
    const failed = health.recentlyFailed();
    const rank = ({ keeper: { keeperId }, reachable }: PieceLocation): number =>
      (reachable ? 0 : 4) + (failed.has(keeperId) ? 2 : 0) + (health.isSlow(keeperId) ? 1 : 0);
    return [...this.#extent.pieces].sort((a, b) => rank(a) - rank(b));
  }

  #report({ pieceIndex, keeper }: PieceLocation, error: HoldfastError): void {
    const { chunkId, readToken } = this.#extent;
    void this.#context.tracker
      .reportBadPiece(
        { chunkId, pieceIndex, keeperId: keeper.keeperId, error, readToken },
        { deadlineMs: reportDeadlineMs },
      )
      .catch(() => undefined);
  }

  #lost(failures: readonly HoldfastError[], allBad: boolean): HoldfastError {
    const { chunkId, fileOffset } = this.#extent;
    const reasons = [...new Set(failures.map(({ message }) => message))].join('; ');
    const facts = { chunk_id: chunkId, file_offset: fileOffset, copies_tried: failures.length };
    if (allBad) {
      return new HoldfastError(
        'DATA_LOSS',
        `no copy of chunk ${chunkId} could be verified: ${reasons || 'no keeper has one any more'}`,
        {
          remedy: 'Bring back keepers that are down: one may hold a good copy. Then see `client status`.',
          facts,
          cause: failures.at(-1),
        },
      );
    }
    return new HoldfastError(
      'UNAVAILABLE',
      failures.length === 0
        ? `no keeper that is known now has chunk ${chunkId}`
        : `chunk ${chunkId} could not be read from any keeper: ${reasons}`,
      {
        remedy: 'See `client status` for keepers that are down, start them, and try again.',
        facts,
        cause: failures.at(-1),
      },
    );
  }
}

/** The fault of whoever takes the bytes (a full disk): no other piece can help. */
class SinkFailed extends Error {
  constructor(cause: unknown) {
    super('the bytes could not be delivered', { cause });
  }
}
