/**
 * The tasks that keepers are to do, in memory: repair, reclamation and verification put them here, heartbeats
 * carry them out, CompleteTask takes them off.
 *
 * The failure it answers: an answer that never arrives, on either side. A task is handed out again until it
 * completes, but not in every heartbeat, and all tasks are idempotent. Nothing here must survive: what a task is
 * for is in the metadata, and is planned again after a restart.
 */
import { type Clock, type Random, newId } from '@holdfast/shared';

export type TaskAction =
  | {
      readonly kind: 'fetch';
      readonly chunkId: string;
      readonly lengthBytes: number;
      /** Hex. */
      readonly digest: string;
      /** In the order to try. */
      readonly sourceKeeperIds: readonly string[];
    }
  | { readonly kind: 'trash'; readonly chunkIds: readonly string[]; readonly transactionId: number }
  | { readonly kind: 'verify'; readonly chunkId: string; readonly digest: string }
  | { readonly kind: 'scrub' };

export interface KeeperTask {
  readonly taskId: string;
  readonly keeperId: string;
  readonly action: TaskAction;
}

/** A keeper that lost a task (a restart, a lost answer) gets it again after this; a copy takes about as long. */
const repeatAfterMs = 15_000;
/** Copies and trash are few, and bounded by who posts them; verification is what any client can ask for. */
const maxTasksWithVerify = 1_000;
/** Tasks beside copies that a keeper has at a time: it takes many copies ahead, and must not be filled with these. */
const maxOthersOut = 4;
/** What clients ask for comes last: a crowd of doubtful readers must not hold up repair. */
const ranks: Readonly<Record<TaskAction['kind'], number>> = { fetch: 0, trash: 1, verify: 2, scrub: 3 };

interface Posted extends KeeperTask {
  handedOutMs: number | undefined;
  /** Of an order to trash that was handed out: it is to go out again. */
  isAgain?: boolean;
}

export class TaskBoard {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #byKeeper = new Map<string, Map<string, Posted>>();

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Posts a task; one of the same kind for the same chunk (or, for trash and scrub, of the same kind) that is there already
   * is enough. False if it was not posted.
   */
  post(keeperId: string, action: TaskAction): boolean {
    const tasks = this.#byKeeper.get(keeperId) ?? new Map<string, Posted>();
    const key = keyOf(action);
    if (tasks.has(key) || (action.kind === 'verify' && tasks.size >= maxTasksWithVerify)) return false;
    tasks.set(key, { taskId: newId(this.#random), keeperId, action, handedOutMs: undefined });
    this.#byKeeper.set(keeperId, tasks);
    return true;
  }

  has(keeperId: string, kind: TaskAction['kind'], chunkId = ''): boolean {
    return this.#byKeeper.get(keeperId)?.has(`${kind} ${chunkId}`) ?? false;
  }

  /**
   * Up to `slots` tasks for a keeper: copies, then a few of trash, then of verification; of each, the longest waiting
   * first.
   */
  handOut(keeperId: string, slots: number): KeeperTask[] {
    const nowMs = this.#clock.monotonicMs();
    const isDue = ({ action, handedOutMs, isAgain = false }: Posted): boolean =>
      handedOutMs === undefined || (action.kind === 'trash' ? isAgain : nowMs - handedOutMs >= repeatAfterMs);
    const all = [...(this.#byKeeper.get(keeperId)?.values() ?? [])];
    const others = all.filter(({ action }) => action.kind !== 'fetch');
    const othersOut = others.filter((task) => !isDue(task)).length;
    const due = [
      ...all.filter((task) => task.action.kind === 'fetch' && isDue(task)),
      ...others
        .filter(isDue)
        .sort((a, b) => ranks[a.action.kind] - ranks[b.action.kind])
        .slice(0, Math.max(0, maxOthersOut - othersOut)),
    ].slice(0, slots);
    for (const task of due) {
      task.handedOutMs = nowMs;
      task.isAgain = false;
    }
    return due;
  }

  /** A task by its id; undefined if it is not known any more, which is fine. */
  find(keeperId: string, taskId: string): KeeperTask | undefined {
    for (const task of this.#byKeeper.get(keeperId)?.values() ?? []) if (task.taskId === taskId) return task;
    return undefined;
  }

  /** Takes a task off. Another one for the same chunk that was posted meanwhile stays. */
  complete({ keeperId, taskId, action }: KeeperTask): void {
    const tasks = this.#byKeeper.get(keeperId);
    if (tasks?.get(keyOf(action))?.taskId === taskId) tasks.delete(keyOf(action));
  }

  /** Takes the order to trash off, unless a heartbeat has carried it out: true if none may be out now. */
  recallTrash(keeperId: string): boolean {
    const tasks = this.#byKeeper.get(keeperId);
    if (tasks?.get(trashKey)?.handedOutMs !== undefined) return false;
    tasks?.delete(trashKey);
    return true;
  }

  /**
   * What an order to trash is about that a heartbeat carried out and nobody has answered for long: it may not have
   * arrived, and goes out again by `repeatTrash` only. undefined if there is none.
   */
  overdueTrash(keeperId: string): readonly string[] | undefined {
    const task = this.#byKeeper.get(keeperId)?.get(trashKey);
    if (task?.action.kind !== 'trash' || task.handedOutMs === undefined) return undefined;
    const isOverdue = this.#clock.monotonicMs() - task.handedOutMs >= repeatAfterMs;
    return isOverdue ? task.action.chunkIds : undefined;
  }

  /** Has the next heartbeat carry the order to trash once more, for these of its pieces. */
  repeatTrash(keeperId: string, chunkIds: readonly string[]): void {
    const tasks = this.#byKeeper.get(keeperId);
    const task = tasks?.get(trashKey);
    if (task?.action.kind !== 'trash') return;
    tasks?.set(trashKey, { ...task, action: { ...task.action, chunkIds }, isAgain: true });
  }

  /** Takes a copy off that nobody waits for any more. */
  withdrawFetch(keeperId: string, chunkId: string): void {
    this.#byKeeper.get(keeperId)?.delete(`fetch ${chunkId}`);
  }

  /** Forgets all tasks of a keeper: it is gone, or started anew. */
  dropKeeper(keeperId: string): void {
    this.#byKeeper.delete(keeperId);
  }
}

/** What `keyOf` gives for an order to trash, of which a keeper has one at a time. */
const trashKey = 'trash ';

function keyOf(action: TaskAction): string {
  return 'chunkId' in action ? `${action.kind} ${action.chunkId}` : `${action.kind} `;
}
