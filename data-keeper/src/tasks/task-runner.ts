/**
 * The tracker's tasks: taken from heartbeats, run a few at a time, each answered by CompleteTask. The tracker
 * repeats a task until it is answered, so one that finds no slot, or whose answer is lost, is simply left to the
 * next heartbeat; each kind is idempotent.
 */
import {
  type Authority,
  type Clock,
  HoldfastError,
  type Logger,
  type Random,
  type RetryPolicy,
  compareAuthority,
  withRetry,
} from '@holdfast/shared';
import type { AuthorityWatch } from '../tracker/authority-watch.js';
import type { KeeperStart, KeeperTask, TaskResult, TrackerLink } from '../tracker/tracker-link.js';

export interface TaskRunnerDeps {
  readonly link: TrackerLink;
  readonly authority: AuthorityWatch;
  readonly start: KeeperStart;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly slots: number;
  readonly deadlineMs: number;
  /** Does the work of one task. What it throws is the task's answer. */
  readonly perform: (task: KeeperTask, signal: AbortSignal) => Promise<TaskResult>;
}

/** For an answer: past this the tracker has repeated the task anyway. */
const answerRetry: RetryPolicy = {
  initialBackoffMs: 100,
  maxBackoffMs: 2_000,
  factor: 2,
  budgetMs: 10_000,
};

export class TaskRunner {
  readonly #deps: TaskRunnerDeps;
  readonly #running = new Map<string, Promise<void>>();
  /** Called when a task has ended and its slot is free. */
  onSlotFree = (): void => undefined;
  readonly #abort = new AbortController();

  constructor(deps: TaskRunnerDeps) {
    this.#deps = deps;
  }

  get freeSlots(): number {
    return Math.max(0, this.#deps.slots - this.#running.size);
  }

  /** Starts the tasks that are new and find a slot, on the word of `authority`. */
  offer(tasks: readonly KeeperTask[], authority: Authority): void {
    for (const task of tasks) {
      if (this.#abort.signal.aborted || this.freeSlots === 0) return;
      if (this.#running.has(task.taskId)) continue;
      const run = this.#run(task, authority).finally(() => {
        this.#running.delete(task.taskId);
        this.onSlotFree();
      });
      this.#running.set(task.taskId, run);
    }
  }

  /** Aborts what runs and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#running.values());
  }

  async #run(task: KeeperTask, authority: Authority): Promise<void> {
    const { link, start, logger, clock, random, deadlineMs } = this.#deps;
    const { signal } = this.#abort;
    const { taskId } = task;
    try {
      const result = await this.#perform(task, authority);
      if (signal.aborted) return;
      const offered = await withRetry(answerRetry, { clock, random, signal }, () =>
        link.completeTask(start, taskId, result, { deadlineMs, signal }),
      );
      await this.#deps.authority.admit(offered);
    } catch (error) {
      if (!signal.aborted)
        logger.warn('a task could not be answered; it will be repeated', { taskId, error });
    }
  }

  async #perform(task: KeeperTask, authority: Authority): Promise<TaskResult> {
    try {
      const order = compareAuthority(this.#deps.authority.current, authority);
      if (order !== 'same') {
        throw new HoldfastError('STALE_EPOCH', 'the task comes from a tracker that has been replaced');
      }
      return await this.#deps.perform(task, this.#abort.signal);
    } catch (error) {
      this.#deps.logger.warn('a task failed', { kind: task.action.kind, error });
      if (HoldfastError.is(error)) return { error };
      return { error: new HoldfastError('INTERNAL', 'the task failed by a defect', { cause: error }) };
    }
  }
}
