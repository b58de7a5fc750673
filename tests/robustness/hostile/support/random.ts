/** What a fuzzer chooses: the same under the same seed. */
import { randomInt } from 'node:crypto';

export class Choices {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A fraction from 0 to below 1 (mulberry32). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `below`. */
  below(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  id(): string {
    return this.bytes(16).toString('hex');
  }
}

/** Always the same, so that what was found once is looked for again; and one that nobody has had. */
const fixedSeed = 20_261_122;

/** HOLDFAST_FUZZ_SEED alone, if it is set. */
export function seeds(): readonly number[] {
  const chosen = process.env['HOLDFAST_FUZZ_SEED'];
  return chosen === undefined ? [fixedSeed, randomInt(2 ** 31)] : [Number(chosen)];
}

/** How long each seed is tried, in milliseconds: HOLDFAST_FUZZ_SECONDS in all, or `quickMs`. */
export function fuzzMs(quickMs: number): number {
  const seconds = process.env['HOLDFAST_FUZZ_SECONDS'];
  return seconds === undefined ? quickMs : (Number(seconds) * 1_000) / seeds().length;
}
