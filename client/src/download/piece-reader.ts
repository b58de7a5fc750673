/**
 * Reads a range from one piece on one keeper, and believes nothing: the keeper must mean the same chunk, send
 * the blocks that were asked for in order, and every block must match its checksum before it is passed on.
 */
import { type Bytes, type ChecksumTable, HoldfastError, firstMismatch } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { Watchdog } from '../core/watchdog.js';
import type { BlockRun, PieceMessage } from '../ports/keeper-api.js';
import type { LocatedExtent, PieceLocation } from '../ports/tracker-api.js';
import { transferDeadlineMs } from '../upload/plan.js';

/** Takes verified bytes that stand at `chunkOffset` in the chunk; may be given the same range again. */
export type ByteSink = (data: Bytes, chunkOffset: number) => Promise<void>;

export interface PieceRange {
  readonly extent: LocatedExtent;
  readonly piece: PieceLocation;
  /** In the chunk, in bytes; `start` < `end`. */
  readonly start: number;
  readonly end: number;
  /** How long the keeper may be silent. */
  readonly silenceMs: number;
  /**
   * For a range that is read to the end of a chunk whose beginning is in the table already (or is read now):
   * when all is there, the chunk's digest is checked as well.
   */
  readonly table?: ChecksumTable | undefined;
  /** Told once, when the first blocks are verified and before they have any effect; what it throws ends the read. */
  readonly onFirstBlocks?: () => void;
}

/**
 * Passes the range to `sink`. What arrived before a failure has been passed on: `onPosition` says how far.
 *
 * @throws HoldfastError CHECKSUM_MISMATCH, NOT_FOUND, TOKEN_EXPIRED, UNAVAILABLE, DEADLINE_EXCEEDED …, CANCELLED
 */
export async function readPiece(
  context: Pick<ClientContext, 'keepers' | 'clock'>,
  range: PieceRange,
  sink: ByteSink,
  onPosition: (chunkOffset: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { extent, piece, start, end, silenceMs } = range;
  const { keeper, pieceIndex } = piece;
  const { chunkId, readToken } = extent;
  const watchdog = new Watchdog(context.clock, signal);
  const silent = (): HoldfastError =>
    new HoldfastError('DEADLINE_EXCEEDED', `keeper ${keeper.address} sent nothing for ${silenceMs} ms`);
  const check = new PieceCheck(range);
  const answer = context.keepers.readChunk(
    keeper,
    { chunkId, pieceIndex, offset: start, lengthBytes: end - start, readToken },
    { signal: watchdog.signal, deadlineMs: transferDeadlineMs(end - start) + silenceMs },
  );
  const messages = answer[Symbol.asyncIterator]();
  try {
    while (check.position < end) {
      watchdog.expect(silenceMs, silent);
      const next = await messages.next();
      watchdog.rest();
      if (next.done === true) throw check.malformed(`it ended at ${check.position} of ${end}`);
      const run = check.accept(next.value);
      if (!run) continue;
      const from = Math.max(start, run.offset);
      const to = Math.min(end, run.offset + run.data.length);
      if (to > from) await sink(run.data.subarray(from - run.offset, to - run.offset), from);
      onPosition(Math.min(end, check.position));
    }
    check.finish();
  } finally {
    watchdog.stop();
    // Not waited for: a keeper that hangs must not hold up the next one.
    void messages.return?.()?.then(undefined, () => undefined);
  }
}

/** What has been seen of one answer, and what may come next. */
class PieceCheck {
  readonly #extent: LocatedExtent;
  readonly #address: string;
  readonly #keeperId: string;
  readonly #start: number;
  readonly #table: ChecksumTable | undefined;
  readonly #onFirstBlocks: (() => void) | undefined;
  #headerSeen = false;
  /** How far the verified blocks reach in the chunk; before the first, where they have to start at the latest. */
  position: number;

  constructor({ extent, piece, start, table, onFirstBlocks }: PieceRange) {
    this.#extent = extent;
    this.#address = piece.keeper.address;
    this.#keeperId = piece.keeper.keeperId;
    this.#start = start;
    this.position = start;
    this.#table = table;
    this.#onFirstBlocks = onFirstBlocks;
  }

  /** Checks one message; returns its blocks, if it has any. */
  accept(message: PieceMessage): BlockRun | undefined {
    if (message.kind === 'header') {
      this.#acceptHeader(message);
      return undefined;
    }
    this.#acceptRun(message.run);
    return message.run;
  }

  /** All blocks are in. Each matches its checksum; only the digest tells whether they are this chunk's. */
  finish(): void {
    if (this.#table && !this.#table.digest().equals(this.#extent.chunkDigest)) {
      throw this.#corrupt('its blocks are not those of the chunk');
    }
  }

  malformed(what: string): HoldfastError {
    return new HoldfastError('UNAVAILABLE', `keeper ${this.#address} sent a wrong answer: ${what}`);
  }

  #acceptHeader(header: PieceMessage & { kind: 'header' }): void {
    if (this.#headerSeen) throw this.malformed('a second header');
    this.#headerSeen = true;
    const { chunkLengthBytes, chunkDigest, blockSizeBytes } = this.#extent;
    const same =
      header.lengthBytes === chunkLengthBytes &&
      header.blockSizeBytes === blockSizeBytes &&
      header.digest.equals(chunkDigest);
    if (!same) throw this.#corrupt('it holds other bytes under this chunk id');
  }

  #acceptRun({ offset, data, checksums }: BlockRun): void {
    const { blockSizeBytes, chunkLengthBytes } = this.#extent;
    if (!this.#headerSeen) throw this.malformed('blocks before the header');
    const first = this.position === this.#start;
    const expected = first
      ? offset <= this.#start && offset + data.length > this.#start
      : offset === this.position;
    if (!expected || offset % blockSizeBytes !== 0) throw this.malformed(`blocks at ${offset}`);
    const end = offset + data.length;
    if (data.length === 0 || end > chunkLengthBytes) throw this.malformed(`blocks up to ${end}`);
    if (end % blockSizeBytes !== 0 && end !== chunkLengthBytes) throw this.malformed('half a block');
    const mismatch = firstMismatch(data, checksums, blockSizeBytes);
    if (mismatch >= 0) throw this.#corrupt(`the block at ${offset + mismatch} does not match its checksum`);
    if (first) this.#onFirstBlocks?.();
    checksums.forEach((checksum, index) => this.#table?.set(offset / blockSizeBytes + index, checksum));
    this.position = end;
  }

  #corrupt(what: string): HoldfastError {
    return new HoldfastError(
      'CHECKSUM_MISMATCH',
      `the piece of chunk ${this.#extent.chunkId} on keeper ${this.#address} is corrupt: ${what}`,
      { facts: { keeper_id: this.#keeperId, chunk_id: this.#extent.chunkId } },
    );
  }
}
