/**
 * Background work in one shape: a named loop of small steps that can be waited for, looked at and stopped.
 * Repair, reclamation, scrubbing and heartbeats are all one of these, so there is one place that decides what
 * happens when a step fails: it is logged, counted, and tried again after a pause.
 */
import type { Clock } from '../ports/clock.js';
import { type Logger, silentLogger } from '../ports/logger.js';

/** What a step answers: how long to pause before the next one. `wake()` cuts the pause short. */
export interface WorkerStep {
  readonly nextInMs: number;
}

export interface WorkerOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly logger?: Logger;
  /** One small unit of work. Must return soon after `signal` is aborted. */
  readonly step: (signal: AbortSignal) => Promise<WorkerStep>;
  /** The pause after a step that threw. */
  readonly retryInMs?: number;
}

/** After a failed step: long enough not to spin, short enough that nobody waits for it. */
const defaultRetryInMs = 1_000;

export class Worker {
  readonly name: string;
  readonly #options: WorkerOptions;
  readonly #abort = new AbortController();
  #loop: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #failures = 0;
  #lastError: unknown;

  constructor(options: WorkerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Steps that threw since the start, and the last error. */
  get status(): { running: boolean; failures: number; lastError: unknown } {
    return { running: this.#loop !== undefined, failures: this.#failures, lastError: this.#lastError };
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Makes the next step start now, or right after the one that runs. */
  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Aborts the step that runs and resolves when it has returned. */
  async stop(): Promise<void> {
    this.#abort.abort();
    this.#wake?.();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, logger = silentLogger, step, retryInMs = defaultRetryInMs } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      let pauseMs = retryInMs;
      this.#woken = false;
      try {
        pauseMs = (await step(signal)).nextInMs;
      } catch (error) {
        if (signal.aborted) return;
        this.#failures += 1;
        this.#lastError = error;
        logger.warn(`${this.name}: a step failed`, { error });
      }
      await this.#pause(clock, pauseMs);
    }
  }

  async #pause(clock: Clock, pauseMs: number): Promise<void> {
    if (this.#woken || this.#abort.signal.aborted || pauseMs <= 0) {
      // Lets other work run even when a worker never pauses.
      await Promise.resolve();
      return;
    }
    await new Promise<void>((resolve) => {
      const cancel = clock.schedule(pauseMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
