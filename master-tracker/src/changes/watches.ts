/**
 * The watches that run: each tells its caller the changes that concern it, from a cursor on, as they are committed.
 *
 * The promise: for one cursor every change comes once and in the order of commits, as a watch keeps nothing but its
 * place in the log and reads on from there. A caller that takes its messages slowly holds one page of changes, and one
 * that falls behind what the log keeps is told so. Between changes a watch says now and then that it is still there, and
 * how far it has come past what concerns others: so a caller finds out that its connection has died, and its cursor
 * does not grow old.
 */
import { type Clock, HoldfastError } from '@holdfast/shared';
import type { MetadataStore } from '../store/metadata-store.js';
import { type Change, ChangeLog } from './change-log.js';
import { type Watched, concerns } from './concerns.js';
import type { Position } from './position.js';

/** What a watch tells: a change, or only how far it has come. */
export interface Told {
  readonly position: Position;
  readonly change?: Change;
}

export interface WatchRequest extends Watched {
  /** undefined: now. */
  readonly from: Position | undefined;
}

export interface WatchesParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly watchHeartbeatMs: number;
}

/**
 * At once. Each is looked at with every change, some 100 ns, and may hold a page: 30 MB together with ordinary paths.
 */
export const maxWatches = 500;
/** A watch that ends makes room at any time; nobody is to ask for it many times a second. */
const retryAfterMs = 1_000;

export class Watches {
  readonly #parts: WatchesParts;
  readonly #log: ChangeLog;
  /** Ends each watch that runs. */
  readonly #running = new Set<AbortController>();
  /** Calls each watch that waits for the next commit. */
  #waiting = new Set<() => void>();
  #stopped: HoldfastError | undefined;
  #lastChangeId: number;

  constructor(parts: WatchesParts) {
    this.#parts = parts;
    this.#log = new ChangeLog(parts.store);
    this.#lastChangeId = parts.store.counters.last_change_id;
    parts.store.onCommitted(() => this.#onCommitted());
  }

  /**
   * Tells changes until the caller is gone or the tracker stops; never resolves. `tell` resolves when the caller has
   * room for more.
   *
   * @throws HoldfastError CURSOR_EXPIRED, LIMIT_EXCEEDED (retryable), UNAVAILABLE when the tracker stops, and what
   *   `tell` throws
   */
  async run(request: WatchRequest, tell: (told: Told) => Promise<void>, caller: AbortSignal): Promise<never> {
    if (this.#stopped) throw this.#stopped;
    if (this.#running.size >= maxWatches) throw tooMany();
    const end = new AbortController();
    const onGone = (): void => end.abort(caller.reason);
    caller.addEventListener('abort', onGone, { once: true });
    this.#running.add(end);
    try {
      return await this.#follow(request, (told) => orEnded(tell(told), end.signal), end.signal);
    } finally {
      this.#running.delete(end);
      caller.removeEventListener('abort', onGone);
    }
  }

  /** Ends all watches, and refuses new ones. */
  stop(): void {
    this.#stopped ??= new HoldfastError('UNAVAILABLE', 'the tracker is stopping', {
      remedy: 'Go on with the last cursor when the tracker is back.',
    });
    for (const end of this.#running) end.abort(this.#stopped);
  }

  async #follow(
    { from, ...watched }: WatchRequest,
    tell: (told: Told) => Promise<void>,
    end: AbortSignal,
  ): Promise<never> {
    const { clock, watchHeartbeatMs } = this.#parts;
    if (from) await this.#log.check(from);
    let position = from ?? (await this.#log.now());
    await tell({ position });
    let heartbeatAtMs = clock.monotonicMs() + watchHeartbeatMs;
    for (;;) {
      end.throwIfAborted();
      if (!this.#log.hasAfter(position)) await this.#commitOr(heartbeatAtMs - clock.monotonicMs(), end);
      for (const change of await this.#log.after(position)) {
        ({ position } = change);
        if (!concerns(change, watched)) continue;
        await tell({ position, change });
        heartbeatAtMs = clock.monotonicMs() + watchHeartbeatMs;
      }
      // A turn for others: whoever watches a quiet path may have a million changes of others to go through.
      await clock.sleep(0);
      if (clock.monotonicMs() < heartbeatAtMs) continue;
      await tell({ position });
      heartbeatAtMs = clock.monotonicMs() + watchHeartbeatMs;
    }
  }

  #onCommitted(): void {
    const { last_change_id } = this.#parts.store.counters;
    if (last_change_id === this.#lastChangeId) return;
    this.#lastChangeId = last_change_id;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Resolves with the next change, or after a time. */
  async #commitOr(durationMs: number, end: AbortSignal): Promise<void> {
    let stopWaiting = (): void => undefined;
    const changed = new Promise<void>((resolve) => {
      const cancelTimer = this.#parts.clock.schedule(Math.max(0, durationMs), resolve);
      this.#waiting.add(resolve);
      stopWaiting = () => {
        cancelTimer();
        this.#waiting.delete(resolve);
      };
    });
    await orEnded(changed, end).finally(stopWaiting);
  }
}

/** What `work` comes to, or the reason for which the watch ends. */
async function orEnded<T>(work: Promise<T>, end: AbortSignal): Promise<T> {
  let onEnd = (): void => undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    onEnd = () => reject(end.reason as Error);
    if (end.aborted) onEnd();
    else end.addEventListener('abort', onEnd, { once: true });
  });
  try {
    return await Promise.race([work, ended]);
  } finally {
    end.removeEventListener('abort', onEnd);
  }
}

function tooMany(): HoldfastError {
  return new HoldfastError('LIMIT_EXCEEDED', `${maxWatches} watches run already`, {
    retryable: true,
    retryAfterMs,
    remedy: 'End watches that nobody needs; one watch of a directory tells of all that is below it.',
  });
}
