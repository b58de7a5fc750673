/**
 * A process of the simulation: a clock that stops with it, and stands still while it is frozen. A process that was
 * killed does nothing any more: its timers never fire, its disk and its network never answer, so whatever was under way
 * is cut off in the middle, as by SIGKILL.
 */
import type { Clock } from '@holdfast/shared';
import type { VirtualTime } from './virtual-time.js';

/** 2026-01-01, so that dates look like dates. */
const epochMs = 1_767_225_600_000;

/** What processes of one name share, one after the other or side by side. */
export interface Machine {
  /** How far its wall clock is off; nothing may depend on it (S11). */
  wallOffsetMs: number;
}

export class SimulatedProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #time: VirtualTime;
  readonly #startedMs: number;
  #alive = true;
  #frozen = false;
  /** What would have happened while it was frozen. */
  readonly #deferred: (() => void)[] = [];

  constructor(name: string, time: VirtualTime, machine: Readonly<Machine> = { wallOffsetMs: 0 }) {
    this.name = name;
    this.#time = time;
    this.#startedMs = time.nowMs;
    this.clock = {
      monotonicMs: () => this.#time.nowMs - this.#startedMs,
      wallMs: () => Math.floor(epochMs + this.#time.nowMs + machine.wallOffsetMs),
      schedule: (durationMs, callback) => this.after(durationMs, callback),
      sleep: (durationMs, options = {}) => this.#sleep(durationMs, options.signal),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Has `fire` called in `delayMs`, if the process lives then; later if it is frozen. */
  after(delayMs: number, fire: () => void): () => void {
    let cancelled = false;
    const cancelTimer = this.#time.after(delayMs, () => this.run(() => cancelled || fire()));
    return () => {
      cancelled = true;
      cancelTimer();
    };
  }

  /** Has `fire` called now, if the process lives; after all that waits if it is frozen or was until lately. */
  run(fire: () => void): void {
    if (!this.#alive) return;
    if (this.#frozen || this.#deferred.length > 0) this.#deferred.push(fire);
    else fire();
  }

  kill(): void {
    this.#alive = false;
    this.#deferred.length = 0;
  }

  freeze(): void {
    this.#frozen = true;
  }

  thaw(): void {
    if (!this.#frozen) return;
    this.#frozen = false;
    this.#catchUp();
  }

  /** One after the other, in the order in which it would have happened. */
  #catchUp(): void {
    if (this.#deferred.length === 0) return;
    this.#time.after(0, () => {
      if (this.#frozen) return;
      this.#deferred.shift()?.();
      this.#catchUp();
    });
  }

  #sleep(durationMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const cancel = this.after(durationMs, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        cancel();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
