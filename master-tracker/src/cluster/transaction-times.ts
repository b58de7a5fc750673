/**
 * When transactions happened, by the monotonic clock: "was this given up at least ten minutes ago?"
 *
 * The failure it answers: times of the wall clock in the metadata make a grace period end early or never when the
 * clock jumps (S11), and monotonic times mean nothing after a restart. So rows carry the number of their
 * transaction, and this table says which numbers are old enough. After a restart everything counts as new.
 */
import type { Clock } from '@holdfast/shared';

/** How finely ages are told apart; also the most by which something stays longer than it must. */
const resolutionMs = 1_000;

interface Mark {
  readonly atMs: number;
  readonly transactionId: number;
}

export class TransactionTimes {
  readonly #clock: Clock;
  readonly #keepMs: number;
  #marks: Mark[];

  /** @param keepMs the greatest age that will be asked for; bounds the memory to one mark a second of it */
  constructor(clock: Clock, transactionId: number, keepMs: number) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#marks = [{ atMs: clock.monotonicMs(), transactionId }];
  }

  /** Notes how far the metadata has come now. To be called about once a second. */
  mark(transactionId: number): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#marks.at(-1);
    if (last && nowMs - last.atMs < Math.min(resolutionMs, this.#keepMs / 10)) return;
    this.#marks.push({ atMs: nowMs, transactionId });
    // The newest mark that is old enough for every question stays; those before it are of no more use.
    const firstUseful = this.#marks.findLastIndex((mark) => nowMs - mark.atMs >= this.#keepMs);
    if (firstUseful > 0) this.#marks = this.#marks.slice(firstUseful);
  }

  /** The last transaction that is known to be at least `ageMs` old; 0 if none is. */
  horizon(ageMs: number): number {
    const nowMs = this.#clock.monotonicMs();
    return this.#marks.findLast((mark) => nowMs - mark.atMs >= ageMs)?.transactionId ?? 0;
  }
}
