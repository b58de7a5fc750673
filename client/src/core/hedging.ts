/**
 * When a second keeper is asked beside one that is slow to answer (a hedged read), and how often that may be. The
 * failure it answers: a keeper that is slow but alive, with a busy disk or a paused process, would hold every read that
 * meets it for as long as it is slow.
 *
 * Two bounds keep hedging from making an overload worse: it waits until the other keepers would nearly surely have
 * answered, and it is paid for out of a budget that reads fill slowly (but where a keeper was silent for all its
 * patience, which is seldom and leaves no time to lose). All of it is arithmetic over what was measured;
 * download/hedge.ts acts on it.
 *
 * Source: Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013.
 */

/** Of twenty reads one is slower: few enough to ask again, soon enough to matter. */
const quantile = 0.95;
/** With fewer than this one chance delay would be the quantile. */
const minSamples = 10;
/** Enough for the quantile, few enough to follow a cluster that becomes slow as a whole. */
const keptSamples = 200;
/** Until enough was measured: slower than a busy disk, well below the silence after which a keeper has failed. */
const unmeasuredMs = 500;
/** Below this a pause of our own process looks like a slow keeper. */
const minDelayMs = 25;

/** How long to wait for a first byte before another keeper is asked, given how long the others took lately. */
export function hedgeDelayMs(firstByteMs: readonly number[]): number {
  if (firstByteMs.length < minSamples) return unmeasuredMs;
  const sorted = Float64Array.from(firstByteMs).sort();
  return Math.max(minDelayMs, sorted[Math.floor(sorted.length * quantile)] ?? unmeasuredMs);
}

interface Sample {
  readonly keeperId: string;
  readonly tookMs: number;
}

/** How long keepers took to their first bytes lately. */
export class FirstByteTimes {
  readonly #samples: Sample[] = [];

  note(keeperId: string, tookMs: number): void {
    if (this.#samples.push({ keeperId, tookMs }) > keptSamples) this.#samples.shift();
  }

  /** Those of all keepers but one: a slow keeper must not make itself the measure. */
  ofOthers(keeperId: string): readonly number[] {
    return this.#samples.filter((sample) => sample.keeperId !== keeperId).map(({ tookMs }) => tookMs);
  }
}

/** At most this part of all reads is hedged: more would be load that an overloaded cluster cannot bear. */
const hedgesPerRead = 0.05;
/** What a quiet time may save up for a bad moment. */
const maxHedges = 10;
/** A program that reads one file may hedge, too. */
const firstHedges = 2;

/** A token bucket: each read puts a part of a hedge in, each hedge takes one out. */
export class HedgeBudget {
  #hedges = firstHedges;

  noteRead(): void {
    this.#hedges = Math.min(maxHedges, this.#hedges + hedgesPerRead);
  }

  /** Takes one if there is one. */
  tryTake(): boolean {
    if (this.#hedges < 1) return false;
    this.#hedges -= 1;
    return true;
  }
}
