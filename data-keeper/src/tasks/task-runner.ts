/**
 * The tracker's tasks: taken from heartbeats, run a few at a time, each answered by CompleteTask. The tracker
 * repeats a task until it is answered, so one that finds no slot, or whose answer is lost, is simply left to the
 * next heartbeat; each kind is idempotent.
 *
 * More copies are taken than run: a small piece is copied in less time than a heartbeat takes to bring the next order.
 * Copies have slots of their own, so that neither they nor a long task of another kind hold the other up. Other tasks
 * run at once or are left: a copy that is made late is one too many at worst, but by the time an order to trash had
 * waited its tracker may have taken this keeper for dead, and count the pieces again (S5).
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
import { setMaxListeners } from 'node:events';
import type { AuthorityWatch } from '../tracker/authority-watch.js';
import type { KeeperStart, KeeperTask, TaskResult, TrackerLink } from '../tracker/tracker-link.js';

export interface TaskRunnerDeps {
  readonly link: TrackerLink;
  readonly authority: AuthorityWatch;
  readonly start: KeeperStart;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How many copies run at a time, and how many tasks of all other kinds. */
  readonly slots: Readonly<Record<Lane, number>>;
  /** How many more copies are taken, to wait for their turn. */
  readonly maxWaiting: number;
  readonly deadlineMs: number;
  /** Does the work of one task. What it throws is the task's answer. */
  readonly perform: (task: KeeperTask, signal: AbortSignal) => Promise<TaskResult>;
}

type Lane = 'copies' | 'others';

interface Taken {
  readonly task: KeeperTask;
  /** Whose word it is. */
  readonly authority: Authority;
}

interface Running {
  /** Whose slot it has; none once it was carried out. */
  lane: Lane | undefined;
  readonly ended: Promise<void>;
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
  /** Copies by id, in the order in which they came. */
  readonly #waiting = new Map<string, Taken>();
  /** Those that are carried out, and those that are being answered, which need no slot for that. */
  readonly #running = new Map<string, Running>();
  /** Called when a task has ended and hardly any copy is left to begin. */
  onSlotFree = (): void => undefined;
  readonly #abort = new AbortController();

  constructor(deps: TaskRunnerDeps) {
    this.#deps = deps;
    // Every task listens, and the slots bound how many: Node would take more than ten for a leak.
    setMaxListeners(0, this.#abort.signal);
  }

  get freeSlots(): number {
    const { slots, maxWaiting } = this.#deps;
    return Math.max(0, slots.copies + slots.others + maxWaiting - this.#waiting.size - this.#running.size);
  }

  /** Takes the tasks that are new and find a slot, on the word of `authority`. */
  offer(tasks: readonly KeeperTask[], authority: Authority): void {
    for (const task of tasks) {
      if (this.freeSlots === 0) break;
      const { taskId } = task;
      if (!this.#running.has(taskId) && !this.#waiting.has(taskId)) {
        this.#waiting.set(taskId, { task, authority });
      }
    }
    this.#startNext();
    for (const [taskId, { task }] of this.#waiting) {
      if (laneOf(task) === 'others') this.#waiting.delete(taskId);
    }
  }

  #startNext(): void {
    const { slots } = this.#deps;
    const free = { ...slots };
    for (const { lane } of this.#running.values()) if (lane) free[lane] -= 1;
    for (const [taskId, { task, authority }] of this.#waiting) {
      if (this.#abort.signal.aborted) return;
      const lane = laneOf(task);
      if (free[lane] <= 0) continue;
      free[lane] -= 1;
      this.#waiting.delete(taskId);
      const result = this.#perform(task, authority);
      const running: Running = { lane, ended: this.#end(taskId, result) };
      this.#running.set(taskId, running);
      void result.then(() => {
        running.lane = undefined;
        this.#startNext();
      });
    }
  }

  async #end(taskId: string, result: Promise<TaskResult>): Promise<void> {
    await this.#answer(taskId, await result);
    this.#running.delete(taskId);
    if (this.#waiting.size < this.#deps.slots.copies / 2) this.onSlotFree();
  }

  /** Aborts what runs and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.all(Array.from(this.#running.values(), ({ ended }) => ended));
  }

  /** Never rejects. */
  async #answer(taskId: string, result: TaskResult): Promise<void> {
    const { link, start, logger, clock, random, deadlineMs } = this.#deps;
    const { signal } = this.#abort;
    if (signal.aborted) return;
    try {
      const offered = await withRetry(answerRetry, { clock, random, signal }, () =>
        link.completeTask(start, taskId, result, { deadlineMs, signal }),
      );
      await this.#deps.authority.admit(offered);
    } catch (error) {
      if (!signal.aborted)
        logger.warn('a task could not be answered; it will be repeated', { taskId, error });
    }
  }

  /** Never rejects: what went wrong is the result. */
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

function laneOf({ action }: KeeperTask): Lane {
  return action.kind === 'fetch' ? 'copies' : 'others';
}
