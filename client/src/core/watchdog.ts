/**
 * Ends a call that has stopped moving. A deadline alone must allow for the largest chunk on the slowest link, so
 * it would notice a frozen keeper after half a minute; a watchdog notices that no byte has moved.
 */
import type { Clock, HoldfastError } from '@holdfast/shared';

export class Watchdog {
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #onParentAbort = (): void => this.#controller.abort(this.#parent?.reason);
  #cancelTimer: (() => void) | undefined;
  #isStopped = false;

  /** @param parent aborts this one's signal too, until `stop` */
  constructor(clock: Clock, parent?: AbortSignal) {
    this.#clock = clock;
    this.#parent = parent;
    if (parent?.aborted) this.#onParentAbort();
    parent?.addEventListener('abort', this.#onParentAbort, { once: true });
  }

  /** What the watched call runs under. Aborted with the parent's reason, or with the error of `expect`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something has to happen within `durationMs`, or the call is ended with `error()`. Replaces the last wait. */
  expect(durationMs: number, error: () => HoldfastError): void {
    this.rest();
    // What was on its way when the call ended comes here late; a timer would keep the process.
    if (this.#isStopped) return;
    this.#cancelTimer = this.#clock.schedule(durationMs, () => this.#controller.abort(error()));
  }

  /** Nothing is expected for now: the next move is ours. */
  rest(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /** Ends the watching. */
  stop(): void {
    this.rest();
    this.#isStopped = true;
    this.#parent?.removeEventListener('abort', this.#onParentAbort);
  }
}
