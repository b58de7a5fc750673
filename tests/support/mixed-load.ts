/** Clients that do a bit of everything to files of their own, all of it through a ledger. */
import type { HoldfastClient } from '@holdfast/client';
import { seededBytes } from './files.js';
import { type Ledger, Violation } from './ledger.js';
import { numbersFrom } from './seeded-numbers.js';
import { chunkSizeBytes } from './quick-cluster.js';

/** A few files each, so that all is done to a file in turn. */
const names = 8;

export class MixedLoad {
  readonly #work: Promise<unknown>;
  #goesOn = true;
  /** Changes that were acknowledged. */
  changes = 0;

  /** Begins with `clients` of them. */
  constructor(client: HoldfastClient, ledger: Ledger, clients: number, seed: number) {
    const all = Array.from({ length: clients }, (_, index) => this.#loop(client, ledger, index, seed));
    this.#work = Promise.all(all);
  }

  async stop(): Promise<void> {
    this.#goesOn = false;
    await this.#work;
  }

  async #loop(client: HoldfastClient, ledger: Ledger, index: number, seed: number): Promise<void> {
    const number = numbersFrom(seed + index);
    // What is surely there. After an outcome that nobody learnt the ledger alone knows what may be.
    const known = new Map<string, Buffer>();
    const bytesOf = (length: number): Buffer => seededBytes(number(2 ** 30), length);
    while (this.#goesOn) {
      const path = `/load-${index}-${number(names)}`;
      const other = `/load-${index}-${number(names)}`;
      const before = known.get(path);
      known.delete(path);
      const kind = number(7);
      try {
        if (before === undefined || kind <= 1) {
          const bytes = bytesOf(1 + number(4 * chunkSizeBytes));
          await ledger.upload(client, path, bytes, { chunkSizeBytes });
          known.set(path, bytes);
        } else if (kind === 2) {
          const files = Array.from({ length: 4 }, (_, which) => ({
            path: `/load-${index}-many-${which}`,
            bytes: bytesOf(number(5_000)),
          }));
          await ledger.uploadMany(client, files);
        } else if (kind === 3) {
          const more = bytesOf(1 + number(chunkSizeBytes));
          const whole = Buffer.concat([before, more]);
          await ledger.append(client, path, more, whole);
          known.set(path, whole);
        } else if (kind === 4 && other !== path) {
          known.delete(other);
          await ledger.move(client, path, other);
          known.set(other, before);
        } else if (kind === 5 && other !== path) {
          known.delete(other);
          await ledger.copy(client, path, other);
          known.set(other, before).set(path, before);
        } else {
          await ledger.remove(client, path);
        }
        this.changes += 1;
      } catch (error) {
        if (error instanceof Violation) throw error;
        // Counted by the ledger as one whose outcome is not known.
      }
    }
  }
}
