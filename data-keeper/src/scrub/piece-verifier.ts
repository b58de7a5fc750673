/**
 * Reads a whole piece, from the medium, and decides what becomes of one that is bad.
 *
 * The failures it answers: a page cache that shows good bytes while the platter has lost them; a flaky cable that is
 * taken for a damaged piece; and a piece that is bad and goes on counting as a copy. So a piece is read past the
 * cache, a bad one is read once more, one that is damaged is set aside, one that the disk cannot read is left alone,
 * and both are written down for the tracker. Nothing is deleted.
 *
 * Permissions that are missing, a disk that is not there, too many open files: that says nothing of the piece.
 */
import { HoldfastError, type Logger, hasCode, limits } from '@holdfast/shared';
import { Pump, PumpMemory } from '../read/pump.js';
import type { ChunkStore } from '../store/chunk-store.js';
import { type PieceKey, type StoredPiece, pieceName } from '../store/piece.js';
import type { BadPieceLog } from './bad-piece-log.js';

export interface PieceVerifierDeps {
  readonly store: ChunkStore;
  readonly badPieces: BadPieceLog;
  readonly logger: Logger;
}

export interface VerifyOptions {
  readonly signal: AbortSignal;
  /** What the digest must be, where that is known. */
  readonly digest?: Buffer;
  /** Called after each run of blocks, to take a rest. */
  readonly afterRun?: () => Promise<void>;
}

export interface Verified {
  readonly piece: StoredPiece;
  /** False where the platform or the file system would only give what the page cache has. */
  readonly fromMedium: boolean;
}

/** True for an error that says that the piece is no copy any more. */
export function isBad(error: unknown): error is HoldfastError {
  return hasCode(error, 'CHECKSUM_MISMATCH', 'DISK_FAILED');
}

/** Whole messages for eight looks at once, a scrub's and those of tasks (settings.taskSlots); more have shorter ones. */
const memoryBytes = 16 * limits.messageDataBytes;

export class PieceVerifier {
  readonly #deps: PieceVerifierDeps;
  /** One look at a piece at a time: what one sets aside must be what that one has read. */
  readonly #busy = new Map<string, Promise<unknown>>();
  /** Apart from that of clients. */
  readonly #memory = new PumpMemory(memoryBytes);

  constructor(deps: PieceVerifierDeps) {
    this.#deps = deps;
  }

  /**
   * @throws HoldfastError CHECKSUM_MISMATCH (set aside), DISK_FAILED (left in place); these the tracker will hear of.
   *   NOT_FOUND, PERMISSION_DENIED, LIMIT_EXCEEDED, UNAVAILABLE (no storage): nothing was changed
   */
  async verify(key: PieceKey, options: VerifyOptions): Promise<Verified> {
    const name = pieceName(key);
    while (this.#busy.has(name)) await this.#busy.get(name);
    const looking = this.#verify(key, options);
    this.#busy.set(
      name,
      looking.catch(() => undefined).finally(() => this.#busy.delete(name)),
    );
    return looking;
  }

  async #verify(key: PieceKey, options: VerifyOptions): Promise<Verified> {
    const { badPieces, logger } = this.#deps;
    try {
      const verified = await this.#readTwice(key, options);
      if (badPieces.forget(key)) logger.info(`piece ${pieceName(key)} can be read again`);
      return verified;
    } catch (error) {
      // A keeper that is being stopped has its disk taken away first: that is no fault of the piece.
      if (options.signal.aborted || !isBad(error)) throw error;
      if (hasCode(error, 'CHECKSUM_MISMATCH')) await this.condemn(key, error);
      else badPieces.add(key, error, true);
      throw error;
    }
  }

  async #readTwice(key: PieceKey, options: VerifyOptions): Promise<Verified> {
    try {
      return await this.#read(key, options);
    } catch (error) {
      if (options.signal.aborted || !isBad(error)) throw error;
      const verified = await this.#read(key, options);
      this.#deps.logger.warn(`piece ${pieceName(key)} was bad at first and good when read again`, { error });
      return verified;
    }
  }

  async #read(key: PieceKey, { signal, digest, afterRun }: VerifyOptions): Promise<Verified> {
    const reader = await this.#deps.store.open(key, 'medium');
    try {
      if (digest && !reader.spec.digest.equals(digest)) {
        throw new HoldfastError('CHECKSUM_MISMATCH', `piece ${pieceName(key)} is not the one expected`);
      }
      const betweenRuns = async (): Promise<void> => {
        signal.throwIfAborted();
        await afterRun?.();
      };
      await new Pump(reader, betweenRuns, this.#memory).run(0, reader.spec.lengthBytes);
      return { piece: reader.spec, fromMedium: reader.fromMedium };
    } finally {
      await reader.close();
    }
  }

  /**
   * Sets a damaged piece aside and writes it down for the tracker, `error` saying what is wrong with it. Where the
   * storage cannot be written it stays, and does not count.
   */
  async condemn(key: PieceKey, error: HoldfastError): Promise<void> {
    const { store, badPieces, logger } = this.#deps;
    let inPlace = false;
    try {
      await store.quarantine(key);
      logger.error(`piece ${pieceName(key)} is damaged and was moved to quarantine/`);
    } catch (failure) {
      inPlace = true;
      logger.error(`piece ${pieceName(key)} is damaged and cannot be moved to quarantine/`, {
        error: failure,
      });
    }
    badPieces.add(key, error, inPlace);
  }
}
