/**
 * Gets one chunk onto keepers, whatever keepers do meanwhile. Every attempt is a new chunk id away from the
 * keepers that failed (a chunk id means the same bytes for ever, and half a chunk may lie under the old one).
 *
 * Promise: what it returns has at least `minWrite` receipts that name exactly the bytes that were sent.
 */
import type { LimitFunction } from 'p-limit';
import {
  ChecksumTable,
  HoldfastError,
  type Receipt,
  type RetryPolicy,
  blockChecksums,
  hasCode,
  withRetry,
} from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { Watchdog } from '../core/watchdog.js';
import type { BlockRun, WriteOutcome } from '../ports/keeper-api.js';
import type { ChunkAllocation, SealedChunk, UploadSession } from '../ports/tracker-api.js';
import type { WrittenChunk } from '../ports/upload-journal.js';
import type { ChunkAllocator } from './allocator.js';
import type { SourceChunk } from './chunk-source.js';
import { transferDeadlineMs } from './plan.js';

/** A head that takes no bytes for this long has failed: a frozen disk or process, or a dead link. */
const progressTimeoutMs = 15_000;
/** Receipts: the head waits up to 15 s for a follower that hangs, then syncs and answers without it. */
const receiptTimeoutMs = 25_000;
/** Two heads that hang one after the other leave time for a third; so does a keeper's restart. */
const chunkRetry: RetryPolicy = {
  initialBackoffMs: 100,
  maxBackoffMs: 2_000,
  factor: 2,
  budgetMs: 45_000,
};

export class ChunkWriter {
  readonly #context: ClientContext;
  readonly #session: UploadSession;
  readonly #allocator: ChunkAllocator;
  readonly #senders: LimitFunction;
  /** Failures of an attempt by no fault of the source or the caller: another attempt may succeed. */
  readonly #survivable = new WeakSet<HoldfastError>();

  /**
   * @param senders lets so many chunks be sent at a time, of one session or of several; those that wait for their
   *   receipts do not count
   */
  constructor(
    context: ClientContext,
    session: UploadSession,
    allocator: ChunkAllocator,
    senders: LimitFunction,
  ) {
    this.#context = context;
    this.#session = session;
    this.#allocator = allocator;
    this.#senders = senders;
  }

  /**
   * Any number at a time.
   *
   * @param onProgress told how many more bytes were handed to a keeper; negative when an attempt was in vain
   * @throws HoldfastError NOT_ENOUGH_KEEPERS, OUT_OF_SPACE, SOURCE_CHANGED, UPLOAD_CLOSED, CANCELLED …
   */
  async write(
    chunk: SourceChunk,
    signal: AbortSignal,
    onProgress: (bytes: number) => void,
  ): Promise<WrittenChunk> {
    const failed = new Set<string>();
    let attempts = 0;
    const isRetryable = (error: HoldfastError): boolean => this.#survivable.has(error);
    // Not within the time that there is for attempts: on a slow link it is long. An attempt that fails before all is
    // sent leaves its sender to the next one.
    let leave: (() => void) | undefined = await this.#sender();
    const onSent = (): void => {
      leave?.();
      leave = undefined;
    };
    try {
      return await withRetry(chunkRetry, { ...this.#context, signal, isRetryable }, async (number) => {
        attempts = number;
        leave ??= await this.#sender();
        const allocation = await this.#allocate(failed, signal);
        return this.#attempt(allocation, chunk, signal, failed, { onProgress, onSent });
      });
    } catch (error) {
      throw HoldfastError.is(error) && isRetryable(error) && !signal.aborted
        ? givenUp(error, attempts, chunk)
        : error;
    } finally {
      onSent();
    }
  }

  /** Resolves when one of the senders is free, with what makes it free again; that may be called more than once. */
  #sender(): Promise<() => void> {
    return new Promise((resolve) => {
      void this.#senders(() => new Promise<void>((leave) => resolve(leave)));
    });
  }

  async #allocate(failed: ReadonlySet<string>, signal: AbortSignal): Promise<ChunkAllocation> {
    try {
      const exclude = new Set([...failed, ...this.#context.health.recentlyFailed()]);
      return await this.#allocator.take(exclude, signal);
    } catch (error) {
      // Keepers that are missing may be back in a moment; anything else the tracker says will not change.
      if (hasCode(error, 'NOT_ENOUGH_KEEPERS')) this.#survivable.add(error);
      throw error;
    }
  }

  async #attempt(
    allocation: ChunkAllocation,
    chunk: SourceChunk,
    signal: AbortSignal,
    failed: Set<string>,
    listener: SendingListener,
  ): Promise<WrittenChunk> {
    const { health } = this.#context;
    const [head] = allocation.keepers;
    if (!head) throw new HoldfastError('INTERNAL', 'the tracker allocated a chunk without keepers');
    const sending = new Sending(chunk, this.#session.blockSizeBytes, listener);
    try {
      const outcome = await this.#send(allocation, chunk, sending, signal);
      for (const { keeperId } of outcome.failures) {
        failed.add(keeperId);
        health.noteFailure(keeperId);
      }
      const sealed = this.#sealed(allocation, chunk, sending.table.digest(), outcome);
      health.noteSuccess(head.keeperId);
      return { ...sealed, checksums: sending.table.bytes() };
    } catch (error) {
      sending.takeBackProgress();
      if (sending.sourceError !== undefined) throw sending.sourceError.error;
      if (signal.aborted || !HoldfastError.is(error)) throw error;
      // An expired token is nobody's fault: the next allocation brings a new one. With too few receipts the
      // answer has named who failed.
      if (!hasCode(error, 'TOKEN_EXPIRED', 'NOT_ENOUGH_KEEPERS')) {
        failed.add(head.keeperId);
        health.noteFailure(head.keeperId);
      }
      this.#survivable.add(error);
      throw error;
    }
  }

  async #send(
    allocation: ChunkAllocation,
    chunk: SourceChunk,
    sending: Sending,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const { clock, keepers } = this.#context;
    const [head, ...followers] = allocation.keepers;
    if (!head) throw new HoldfastError('INTERNAL', 'the tracker allocated a chunk without keepers');
    const watchdog = new Watchdog(clock, signal);
    const stuck = (): HoldfastError =>
      new HoldfastError(
        'DEADLINE_EXCEEDED',
        `keeper ${head.address} stopped taking bytes or did not confirm them`,
      );
    watchdog.expect(progressTimeoutMs, stuck);
    const request = {
      chunkId: allocation.chunkId,
      uploadId: this.#session.uploadId,
      lengthBytes: chunk.lengthBytes,
      blockSizeBytes: this.#session.blockSizeBytes,
      followers,
      writeToken: allocation.writeToken,
    };
    try {
      const outcome = await keepers.writeChunk(head, request, sending.runs(watchdog, stuck), {
        signal: watchdog.signal,
        deadlineMs: transferDeadlineMs(chunk.lengthBytes) + progressTimeoutMs,
      });
      // A head can tell of those behind it, and of nobody else.
      const behind = new Set(followers.map(({ keeperId }) => keeperId));
      return { ...outcome, failures: outcome.failures.filter(({ keeperId }) => behind.has(keeperId)) };
    } finally {
      watchdog.stop();
    }
  }

  /** The chunk with the receipts that count: of this chain, for exactly these bytes, one a keeper. */
  #sealed(
    allocation: ChunkAllocation,
    chunk: SourceChunk,
    digest: Buffer,
    outcome: WriteOutcome,
  ): SealedChunk {
    const { chunkId, keepers } = allocation;
    const { lengthBytes, fileOffset } = chunk;
    const chain = new Set(keepers.map(({ keeperId }) => keeperId));
    const byKeeper = new Map<string, Receipt>();
    for (const receipt of outcome.receipts) {
      const matches =
        receipt.chunkId === chunkId &&
        receipt.lengthBytes === lengthBytes &&
        receipt.digest.equals(digest) &&
        chain.has(receipt.keeperId);
      if (matches) byKeeper.set(receipt.keeperId, receipt);
    }
    const { minWrite } = this.#session.policy;
    if (byKeeper.size < minWrite) throw tooFewReceipts(byKeeper.size, minWrite, outcome);
    return { chunkId, lengthBytes, digest, fileOffset, receipts: [...byKeeper.values()] };
  }
}

function tooFewReceipts(count: number, minWrite: number, outcome: WriteOutcome): HoldfastError {
  const reasons = outcome.failures.map(({ error }) => error.message);
  const why = reasons.length > 0 ? ` (${[...new Set(reasons)].join('; ')})` : '';
  return new HoldfastError(
    'NOT_ENOUGH_KEEPERS',
    `only ${count} of the ${minWrite} copies that have to be durable were stored${why}`,
    {
      remedy:
        'See `client status`: bring keepers back, or ask for fewer (--min-write; in the library minWrite).',
      facts: { stored: count, min_write: minWrite },
    },
  );
}

/** What the caller is told when the time for one chunk is spent. */
function givenUp(last: HoldfastError, attempts: number, chunk: SourceChunk): HoldfastError {
  // A full cluster stays what it is; everything else comes down to keepers that are not there.
  const code = hasCode(last, 'OUT_OF_SPACE') ? 'OUT_OF_SPACE' : 'NOT_ENOUGH_KEEPERS';
  return new HoldfastError(
    code,
    `${chunk.lengthBytes} bytes at offset ${chunk.fileOffset} could not be stored in ${attempts} attempts: ` +
      last.message,
    {
      cause: last,
      remedy: last.remedy || 'See `client status`: start keepers, or bring back those that are down.',
      facts: { ...last.facts, attempts },
    },
  );
}

/** Told how the bytes of an attempt fare. */
interface SendingListener {
  onProgress(bytes: number): void;
  /** All are sent: what is left is to wait for the receipts. */
  onSent(): void;
}

/** One attempt's bytes on their way: their checksums, how far they are, and whose fault an end was. */
class Sending {
  readonly table: ChecksumTable;
  readonly #chunk: SourceChunk;
  readonly #blockSizeBytes: number;
  readonly #listener: SendingListener;
  #sentBytes = 0;
  /** Set when reading the source failed: no keeper can help then. */
  sourceError: { readonly error: unknown } | undefined;

  constructor(chunk: SourceChunk, blockSizeBytes: number, listener: SendingListener) {
    this.table = new ChecksumTable(chunk.lengthBytes, blockSizeBytes);
    this.#chunk = chunk;
    this.#blockSizeBytes = blockSizeBytes;
    this.#listener = listener;
  }

  /** The runs with their checksums. The watchdog waits while the keeper takes one, and rests while we read. */
  async *runs(watchdog: Watchdog, stuck: () => HoldfastError): AsyncGenerator<BlockRun> {
    let blocks = 0;
    try {
      watchdog.rest();
      for await (const data of this.#chunk.runs()) {
        const checksums = blockChecksums(data, this.#blockSizeBytes);
        for (const checksum of checksums) this.table.set(blocks++, checksum);
        watchdog.expect(progressTimeoutMs, stuck);
        yield { offset: this.#sentBytes, checksums, data };
        watchdog.rest();
        this.#sentBytes += data.length;
        this.#listener.onProgress(data.length);
      }
    } catch (error) {
      this.sourceError = { error };
      throw error;
    }
    watchdog.expect(receiptTimeoutMs, stuck);
    this.#listener.onSent();
  }

  takeBackProgress(): void {
    this.#listener.onProgress(-this.#sentBytes);
    this.#sentBytes = 0;
  }
}
