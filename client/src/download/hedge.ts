/**
 * Runs an attempt, and a second one beside it if the first has nothing to show in time. Whichever claims first goes on
 * alone, and the other one is aborted. An attempt claims before its first effect, so the two never mix.
 */
import { type Clock, HoldfastError } from '@holdfast/shared';

/** Works under `signal`, and calls `claim` before its first effect; what that throws ends it. */
export type Attempt = (claim: () => void, signal: AbortSignal) => Promise<void>;

export interface Spare {
  readonly delayMs: number;
  /** Asked when the first attempt is late; undefined: not this time. */
  attempt(): Attempt | undefined;
}

/** What became of one attempt: `error` is undefined if it did its work. */
interface Ended {
  readonly attempt: 'first' | 'second';
  readonly error: unknown;
}

export interface HedgeResult {
  /** The attempts that ended by themselves, in this order; one that came too late is not among them. */
  readonly ended: readonly Ended[];
  /** Whether the first one had nothing to show when its time was over. */
  readonly late: boolean;
}

/** Never rejects. Without a `spare` it is the first attempt alone. */
export async function hedge(
  clock: Clock,
  first: Attempt,
  spare: Spare | undefined,
  signal?: AbortSignal,
): Promise<HedgeResult> {
  const ended: Ended[] = [];
  const aborts = new Map<Ended['attempt'], AbortController>();
  let winner: Ended['attempt'] | undefined;
  let late = false;
  let cancelTimer = (): void => undefined;
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const onAbort = (): void => {
    for (const running of aborts.values()) running.abort(signal?.reason);
  };
  const begin = (name: Ended['attempt'], attempt: Attempt): void => {
    const abort = new AbortController();
    aborts.set(name, abort);
    if (signal?.aborted) onAbort();
    const claim = (): void => {
      if (winner !== undefined && winner !== name) throw tooLate();
      winner = name;
      cancelTimer();
      for (const [other, running] of aborts) if (other !== name) running.abort(tooLate());
    };
    const onEnd = (error?: unknown): void => {
      if (winner !== undefined && winner !== name) return;
      ended.push({ attempt: name, error });
      // One that failed with nothing to show leaves it to the other one.
      if (winner === name || ended.length === aborts.size) finish();
    };
    attempt(claim, abort.signal).then(() => onEnd(), onEnd);
  };
  // One listener for both: a signal of a long transfer sees very many reads.
  signal?.addEventListener('abort', onAbort, { once: true });
  begin('first', first);
  if (spare) {
    cancelTimer = clock.schedule(spare.delayMs, () => {
      late = true;
      const second = spare.attempt();
      if (second) begin('second', second);
    });
  }
  await finished;
  cancelTimer();
  signal?.removeEventListener('abort', onAbort);
  return { ended, late };
}

function tooLate(): HoldfastError {
  return new HoldfastError('CANCELLED', 'another keeper answered first');
}
