/**
 * How long a job will still take: by what it did in the last minutes. In memory, as it is for display only: after
 * a restart there is nothing to go by for a moment.
 */

/** Long enough to even out bursts, short enough to follow a change of pace. */
const windowMs = 5 * 60_000;
/** Below this, one piece more or less decides. */
const minSpanMs = 2_000;
/** How finely the window is kept. */
const sampleEveryMs = 1_000;

interface Sample {
  readonly atMs: number;
  readonly done: number;
}

export class Pace {
  #samples: Sample[] = [];

  /** Notes how far the job is, at `nowMs` of the monotonic clock. */
  note(done: number, nowMs: number): void {
    const last = this.#samples.at(-1);
    // A job that counted anew and has less behind it than it thought begins anew here too.
    if (last && done < last.done) this.#samples = [];
    else if (last && nowMs - last.atMs < sampleEveryMs) return;
    this.#samples.push({ atMs: nowMs, done });
    const first = this.#samples.findIndex((sample) => nowMs - sample.atMs <= windowMs);
    if (first > 0) this.#samples = this.#samples.slice(first);
  }

  /** Milliseconds until `expected` is reached at this pace; undefined if there is nothing to go by. */
  remainingMs(done: number, expected: number, nowMs: number): number | undefined {
    const [first] = this.#samples;
    if (!first || nowMs - first.atMs < minSpanMs || done <= first.done) return undefined;
    return Math.ceil(((expected - done) * (nowMs - first.atMs)) / (done - first.done));
  }
}
