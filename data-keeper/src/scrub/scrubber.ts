/**
 * Reads every piece again, round after round, so that damage is found while there are other copies.
 *
 * The failures it answers: bytes that rot where nobody reads them, found only when the last good copy is gone too;
 * and a count that calls a disk verified of which half was never read. What a round has read is counted against what
 * there is; a restart goes on where the last start was; pieces that came behind the place were verified when they
 * were written. What is bad and what becomes of it is PieceVerifier's business, how fast it goes scrub-pace's.
 */
import { type Clock, type FileSystem, type Logger, Worker, type WorkerStep, hasCode } from '@holdfast/shared';
import type { Ballast } from '../store/ballast.js';
import type { ChunkStore, ListedPiece } from '../store/chunk-store.js';
import { shards } from '../store/data-directory.js';
import type { StorageHealth } from '../store/disk-error.js';
import { pieceName } from '../store/piece.js';
import type { ScrubProgress } from '../tracker/tracker-link.js';
import type { BadPieceLog } from './bad-piece-log.js';
import { type PieceVerifier, type Verified, isBad } from './piece-verifier.js';
import { type PaceLimits, type RoundStanding, dueInMs, plannedMs, restMs, workOf } from './scrub-pace.js';
import {
  type ScrubRecord,
  type ScrubRound,
  loadScrubRecord,
  newRound,
  saveScrubRecord,
} from './scrub-record.js';

export interface ScrubberDeps {
  readonly store: ChunkStore;
  readonly verifier: PieceVerifier;
  readonly badPieces: BadPieceLog;
  readonly fileSystem: FileSystem;
  readonly health: StorageHealth;
  readonly ballast: Ballast;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pace: PaceLimits;
  /** How often, at most, the place is written down. */
  readonly saveIntervalMs: number;
  /** How many streams clients and peers have open. */
  readonly activeStreams: () => number;
  /** Called when pieces are gone that nobody here has moved: only a full report shows which. */
  readonly onVanished: () => void;
}

/** Looks again at least this often while nothing is due: what there is to do changes. */
const idleMs = 60_000;
/** While the tracker has not taken what was found, or the storage is not there. */
const blockedMs = 1_000;

export class Scrubber {
  readonly #deps: ScrubberDeps;
  readonly #worker: Worker;
  #rounds: number;
  #previousStartedAtUnixMs: number | null;
  #completedTaskId: string;
  #round: ScrubRound;
  /** What is left of the shard that is being read, the next one last; undefined before it was listed. */
  #left: ListedPiece[] | undefined;
  #leftBytes = 0;
  /** A listed piece was not there: the shard is listed once more at its end. */
  #doubtful = false;
  #lastMs: number;
  #savedMs: number;
  #wantedTaskId: string | undefined;
  readonly #waiting = new Set<() => void>();

  private constructor(deps: ScrubberDeps, record: ScrubRecord | undefined) {
    const { clock, logger, badPieces } = deps;
    this.#deps = deps;
    this.#rounds = record?.rounds ?? 0;
    this.#previousStartedAtUnixMs = record?.previousStartedAtUnixMs ?? null;
    this.#completedTaskId = record?.completedTaskId ?? '';
    this.#round = record?.round ?? newRound(clock.wallMs(), '');
    badPieces.restore(record?.badPieces ?? []);
    this.#lastMs = clock.monotonicMs();
    this.#savedMs = this.#lastMs;
    this.#worker = new Worker({ name: 'scrub', clock, logger, step: (signal) => this.#step(signal) });
  }

  static async open(deps: ScrubberDeps): Promise<Scrubber> {
    return new Scrubber(deps, await loadScrubRecord(deps.fileSystem, deps.dataDir, deps.logger));
  }

  start(): void {
    this.#worker.start();
  }

  /** Resolves when nothing is read any more and, if told so, the place is written down. */
  async stop(save: boolean): Promise<void> {
    await this.#worker.stop();
    if (save) await this.#save();
  }

  get progress(): ScrubProgress {
    const { startedAtUnixMs, throughChunkId, taskId, ...round } = this.#round;
    const expected = this.#expected();
    return {
      ...{ startedAtUnixMs, throughChunkId, taskId },
      ...{ scannedPieces: round.scannedPieces, expectedPieces: expected.pieces },
      ...{ scannedBytes: round.scannedBytes, expectedBytes: expected.bytes },
      ...{ corruptPieces: round.corruptPieces, unreadPieces: round.unreadPieces },
      cachedPieces: round.cachedPieces,
      previousStartedAtUnixMs: this.#previousStartedAtUnixMs,
      rounds: this.#rounds,
    };
  }

  /**
   * Begins a round for the task, or goes on with the one it began; resolves when that is whole.
   *
   * @throws HoldfastError DISK_FAILED, PERMISSION_DENIED if the storage cannot be written: what was found damaged could
   *   not be set aside then, and the next start knows nothing of it
   */
  async runTask(taskId: string, signal: AbortSignal): Promise<void> {
    while (this.#completedTaskId !== taskId) {
      signal.throwIfAborted();
      // Another task's round is ended first.
      if (this.#round.taskId === '' && this.#wantedTaskId === undefined) {
        this.#wantedTaskId = taskId;
        this.#worker.wake();
      }
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiting.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#waiting.add(done);
        signal.addEventListener('abort', done, { once: true });
      });
    }
    const { failure } = this.#deps.store;
    if (failure) throw failure;
  }

  /** Everything that was read and everything that is still to be read: the pieces that came and went are in it. */
  #expected(): { pieces: number; bytes: number } {
    const { scannedPieces, scannedBytes } = this.#round;
    const later = this.#deps.store.census(this.#left ? this.#shard + 1 : this.#shard);
    return {
      pieces: scannedPieces + (this.#left?.length ?? 0) + later.pieces,
      bytes: scannedBytes + (this.#left ? this.#leftBytes : 0) + later.bytes,
    };
  }

  /** The shard that comes next; 256 at the end. */
  get #shard(): number {
    const { throughChunkId } = this.#round;
    if (throughChunkId === '') return 0;
    const shard = Number.parseInt(throughChunkId.slice(0, 2), 16);
    return throughChunkId === endOf(shard) ? shard + 1 : shard;
  }

  async #step(signal: AbortSignal): Promise<WorkerStep> {
    const { store, badPieces } = this.#deps;
    this.#tick();
    if (this.#wantedTaskId !== undefined) await this.#begin(this.#wantedTaskId);
    if (store.gone || badPieces.isFull) return { nextInMs: blockedMs };
    const piece = await this.#next(signal);
    if (!piece) return this.#endRound();
    const dueMs = dueInMs(this.#standing(piece.fileBytes), this.#deps.pace);
    if (dueMs > 0) {
      await this.#saveNowAndThen();
      return { nextInMs: Math.min(dueMs, idleMs) };
    }
    await this.#scan(piece, signal);
    await this.#saveNowAndThen();
    return { nextInMs: 0 };
  }

  /** Time passes for the round, also while there is nothing to do. */
  #tick(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#update({ elapsedMs: this.#round.elapsedMs + (nowMs - this.#lastMs) });
    this.#lastMs = nowMs;
  }

  #update(change: Partial<ScrubRound>): void {
    this.#round = { ...this.#round, ...change };
  }

  /** With the piece that comes next. */
  #standing(nextBytes: number): RoundStanding {
    const { elapsedMs, scannedPieces, scannedBytes, taskId } = this.#round;
    return {
      elapsedMs,
      done: workOf({ pieces: scannedPieces + 1, bytes: scannedBytes + nextBytes }),
      expected: workOf(this.#expected()),
      isUrgent: taskId !== '',
    };
  }

  /** The next piece of the round, which stays next; undefined at its end. */
  async #next(signal: AbortSignal): Promise<ListedPiece | undefined> {
    for (;;) {
      const shard = this.#shard;
      if (shard >= shards.length) return undefined;
      signal.throwIfAborted();
      if (!this.#left) {
        this.#left = (await this.#list(shard)).reverse();
        this.#leftBytes = this.#left.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
      }
      const piece = this.#left.at(-1);
      if (piece) return piece;
      if (this.#doubtful) await this.#list(shard);
      this.#doubtful = false;
      this.#left = undefined;
      this.#update({ throughChunkId: endOf(shard) });
    }
  }

  async #list(shard: number): Promise<ListedPiece[]> {
    const { store, logger, onVanished } = this.#deps;
    const { pieces, vanished } = await store.listShard(shard);
    if (vanished > 0) {
      logger.error(
        `${vanished} pieces are gone from chunks/${shards[shard]}, and the keeper has not moved them`,
      );
      onVanished();
    }
    return pieces.filter(({ chunkId }) => chunkId > this.#round.throughChunkId);
  }

  async #scan(piece: ListedPiece, signal: AbortSignal): Promise<void> {
    const { verifier, clock, logger, activeStreams, pace } = this.#deps;
    let runMs = clock.monotonicMs();
    const afterRun = async (): Promise<void> => {
      const spentMs = clock.monotonicMs() - runMs;
      const restForMs = restMs(spentMs, this.#standing(piece.fileBytes), activeStreams() > 0, pace);
      if (restForMs >= 1) await clock.sleep(restForMs, { signal });
      runMs = clock.monotonicMs();
    };
    let verified: Verified | undefined;
    try {
      verified = await verifier.verify(piece, { signal, afterRun });
    } catch (error) {
      if (signal.aborted) throw error;
      // Trashed since it was listed, or gone: the shard is looked through again.
      if (hasCode(error, 'NOT_FOUND')) {
        this.#doubtful = true;
        this.#pass(piece);
        return;
      }
      if (!isBad(error) && !hasCode(error, 'PERMISSION_DENIED')) throw error;
      this.#noteBad(piece, error);
    }
    const { scannedPieces, scannedBytes, cachedPieces } = this.#round;
    this.#update({
      scannedPieces: scannedPieces + 1,
      scannedBytes: scannedBytes + piece.fileBytes,
      cachedPieces: cachedPieces + (verified && !verified.fromMedium ? 1 : 0),
    });
    this.#pass(piece);
    if (!verified) await this.#save();
    logger.debug(`piece ${pieceName(piece)} was scrubbed`);
  }

  #noteBad(piece: ListedPiece, error: unknown): void {
    const { logger } = this.#deps;
    const { corruptPieces, unreadPieces } = this.#round;
    if (hasCode(error, 'CHECKSUM_MISMATCH')) {
      this.#update({ corruptPieces: corruptPieces + 1 });
      return;
    }
    this.#update({ unreadPieces: unreadPieces + 1 });
    const counts = isBad(error) ? 'it does not count as a copy' : 'nothing is said of it';
    logger.error(`piece ${pieceName(piece)} cannot be read and is left in place; ${counts}`, { error });
  }

  /** Goes on to the next one. */
  #pass(piece: ListedPiece): void {
    this.#left?.pop();
    this.#leftBytes -= piece.fileBytes;
    // A chunk is behind when its last piece is.
    if (this.#left?.at(-1)?.chunkId !== piece.chunkId) this.#update({ throughChunkId: piece.chunkId });
  }

  /** A round that began by itself takes its time even if there was nothing to do. */
  async #endRound(): Promise<WorkerStep> {
    const { elapsedMs, taskId, startedAtUnixMs } = this.#round;
    const restingMs = taskId === '' ? plannedMs(this.#deps.pace) - elapsedMs : 0;
    if (restingMs > 0) {
      await this.#saveNowAndThen();
      return { nextInMs: Math.min(restingMs, idleMs) };
    }
    this.#rounds += 1;
    this.#previousStartedAtUnixMs = startedAtUnixMs;
    if (taskId !== '') this.#completedTaskId = taskId;
    this.#deps.logger.info('a round of scrubbing is whole', { ...this.progress });
    await this.#begin('');
    return { nextInMs: 0 };
  }

  /**
   * Begins a round. One that runs is given up: what it has read, it has read, but the round before it is the last
   * whole one.
   */
  async #begin(taskId: string): Promise<void> {
    this.#wantedTaskId = undefined;
    this.#left = undefined;
    this.#doubtful = false;
    this.#round = newRound(this.#deps.clock.wallMs(), taskId);
    await this.#save();
    for (const done of [...this.#waiting]) done();
  }

  async #saveNowAndThen(): Promise<void> {
    if (this.#deps.clock.monotonicMs() - this.#savedMs >= this.#deps.saveIntervalMs) await this.#save();
  }

  /** A place that cannot be written down costs the next start some reading, and nothing else. */
  async #save(): Promise<void> {
    const { fileSystem, health, ballast, dataDir, clock, logger, badPieces, store } = this.#deps;
    this.#savedMs = clock.monotonicMs();
    if (store.failure) return;
    try {
      const record = {
        rounds: this.#rounds,
        previousStartedAtUnixMs: this.#previousStartedAtUnixMs,
        completedTaskId: this.#completedTaskId,
        round: this.#round,
        badPieces: badPieces.toRecords(),
      };
      await ballast.spend(() => saveScrubRecord(fileSystem, health, dataDir, record));
    } catch (error) {
      logger.warn('the place of the scrub could not be written down', { error });
    }
  }
}

/** The last chunk id of a shard. */
function endOf(shard: number): string {
  return (shards[shard] ?? 'ff').padEnd(32, 'f');
}
