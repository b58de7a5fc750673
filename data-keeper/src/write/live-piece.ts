/**
 * Pieces that are being written, for those who follow them. A follower may have what is verified and written:
 * from memory while it keeps up, else from the temp file, which means from the page cache. So a slow follower
 * costs no memory here, and one that comes late misses nothing.
 */
import { type ByteBudget, type Clock, HoldfastError, cancelled } from '@holdfast/shared';
import type { PieceReader, PieceWriter } from '../store/chunk-store.js';
import { type BlockRun, type PieceKey, type PieceSpec, pieceName } from '../store/piece.js';
import { RecentRuns } from './recent-runs.js';

/** How far a follower has come. */
interface Following {
  sentBytes: number;
  done: boolean;
  progressMs: number;
}

export class LivePiece {
  readonly spec: PieceSpec;
  readonly #writer: PieceWriter;
  /** Keeps the file open for followers that come after the writer is done with it. */
  readonly #held: PieceReader;
  readonly #clock: Clock;
  readonly #recent: RecentRuns | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #followers = new Map<string, Following>();
  #digest: Buffer | undefined;
  #givenUp = false;

  /** @param memory for what a follower has not taken yet; none if nobody follows */
  constructor(writer: PieceWriter, clock: Clock, memory?: ByteBudget) {
    this.spec = writer.spec;
    this.#writer = writer;
    this.#held = writer.follow();
    this.#clock = clock;
    this.#recent = memory && new RecentRuns(memory);
  }

  get writtenBytes(): number {
    return this.#writer.writtenBytes;
  }

  /** Known once every byte is received and verified. */
  get digest(): Buffer | undefined {
    return this.#digest;
  }

  follow(): PieceReader {
    return this.#writer.follow();
  }

  /** Tells followers that a run is written. */
  advanced(run: BlockRun): void {
    this.#recent?.add(run);
    this.#wake();
  }

  /** What a follower has next at `offsetBytes`: a run from memory, or how far it has to read the file. */
  next(offsetBytes: number): BlockRun | { readonly endBytes: number } {
    const run = this.#recent?.take(offsetBytes);
    return run ?? { endBytes: Math.min(this.writtenBytes, this.#recent?.startBytes ?? Infinity) };
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  sealed(digest: Buffer): void {
    this.#digest = digest;
    this.#wake();
  }

  givenUp(): void {
    this.#givenUp = true;
    this.#wake();
  }

  /** From now on nobody new may follow; those who do may go on. */
  async close(): Promise<void> {
    this.#recent?.clear();
    await this.#held.close();
  }

  /**
   * Resolves when there is more than `offsetBytes` to read, or the digest is known.
   *
   * @throws HoldfastError SOURCE_CHANGED (ABORTED on the wire) if the write was given up; CANCELLED
   */
  async waitPast(offsetBytes: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      if (signal.aborted) throw cancelled(signal);
      if (this.#givenUp) {
        throw new HoldfastError('SOURCE_CHANGED', `the write of piece ${pieceName(this.spec)} was given up`, {
          remedy: 'Discard what was received.',
        });
      }
      if (this.#writer.writtenBytes > offsetBytes || this.#digest !== undefined) return;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake);
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }

  /** Notes that a follower has come, taken `bytes` more, or all there is. */
  progressed(keeperId: string, bytes: number, done = false): void {
    const following = this.#following(keeperId);
    following.sentBytes += bytes;
    following.done ||= done;
    // Nobody else follows this keeper: a chain has one next.
    if (done) this.#recent?.clear();
    following.progressMs = this.#clock.monotonicMs();
  }

  /** How long a follower has not taken what it could, in milliseconds; 0 if there is nothing for it to take. */
  stalledForMs(keeperId: string): number {
    const following = this.#following(keeperId);
    const behind = following.sentBytes < this.writtenBytes || (this.#digest !== undefined && !following.done);
    const now = this.#clock.monotonicMs();
    if (!behind) following.progressMs = now;
    return now - following.progressMs;
  }

  /** True once a follower has the piece to its footer. */
  hasAll(keeperId: string): boolean {
    return this.#following(keeperId).done;
  }

  #following(keeperId: string): Following {
    let following = this.#followers.get(keeperId);
    if (!following) {
      following = { sentBytes: 0, done: false, progressMs: this.#clock.monotonicMs() };
      this.#followers.set(keeperId, following);
    }
    return following;
  }
}

/** The pieces that are being written here now, by name. */
export class LivePieces {
  readonly #byName = new Map<string, LivePiece>();

  get(key: PieceKey): LivePiece | undefined {
    return this.#byName.get(pieceName(key));
  }

  add(live: LivePiece): void {
    this.#byName.set(pieceName(live.spec), live);
  }

  async remove(live: LivePiece): Promise<void> {
    // While its chain finishes a piece is stored already, and another write of it may have taken the name.
    if (this.get(live.spec) === live) this.#byName.delete(pieceName(live.spec));
    // A file that only followers held: all that counted of it was synced.
    await live.close().catch(() => undefined);
  }
}
