/** Randomness under a seed: the same seed, the same numbers, on every machine. */
import type { Random } from '@holdfast/shared';

/**
 * Source: sfc32 of Chris Doty-Humphrey's PractRand (public domain): 128 bits of state, 32 out of each step. Not for
 * secrets; a simulation has none.
 */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed a whole number; `name` gives each user of one seed numbers of his own */
  constructor(seed: number, name = '') {
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = hash(name);
    for (let step = 0; step < 15; step += 1) this.#next();
  }

  fraction(): number {
    return this.#next() / 2 ** 32;
  }

  bytes(size: number): Buffer {
    const bytes = Buffer.alloc(size);
    let at = 0;
    for (; at + 4 <= size; at += 4) bytes.writeUInt32LE(this.#next(), at);
    for (; at < size; at += 1) bytes[at] = this.#next() & 0xff;
    return bytes;
  }

  /** A whole number from `least` to `most`. */
  integer(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** True in `probability` of the cases. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** One of them. */
  pick<T>(items: readonly T[]): T {
    const item = items[this.integer(0, items.length - 1)];
    if (item === undefined) throw new Error('there is nothing to pick from');
    return item;
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}
