/** Somebody who looks after the cluster while things go wrong: asks it, and orders what is safe at any time. */
import { type HoldfastClient, HoldfastError, hasCode } from '@holdfast/client';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedProcess } from './simulated-process.js';
import { Violation } from './violation.js';

/** Between two orders, at most. */
const pauseMs = 15_000;

export class Operator {
  readonly #client: HoldfastClient;
  readonly #process: SimulatedProcess;
  readonly #random: SeededRandom;
  /** The drain that was ordered and has to be taken back. */
  #drain: string | undefined;

  constructor(client: HoldfastClient, process: SimulatedProcess, random: SeededRandom) {
    this.#client = client;
    this.#process = process;
    this.#random = random;
  }

  /** Goes on until `isOver`, and leaves no keeper that takes no pieces. @throws Violation */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.#process.clock.sleep(this.#random.fraction() * pauseMs);
      await this.#try(() => this.#order());
    }
    while (this.#drain !== undefined) {
      await this.#try(() => this.#takeBack());
      await this.#process.clock.sleep(1_000);
    }
  }

  async #order(): Promise<void> {
    const client = this.#client;
    const orders: readonly (() => Promise<unknown>)[] = [
      () => client.scrub(),
      () => client.rebalance(),
      () => client.status(),
      () => this.#previewLoss(),
      () => this.#explain(),
      () => (this.#drain === undefined ? this.#startDrain() : this.#takeBack()),
    ];
    await this.#random.pick(orders)();
  }

  async #startDrain(): Promise<void> {
    const { keeperId } = this.#random.pick(await this.#client.keepers());
    this.#drain = await this.#client.drainKeeper(keeperId);
  }

  async #takeBack(): Promise<void> {
    if (this.#drain !== undefined) await this.#client.cancelJob(this.#drain);
    this.#drain = undefined;
  }

  async #previewLoss(): Promise<void> {
    const { keeperId } = this.#random.pick(await this.#client.keepers());
    await this.#client.previewKeeperLoss([keeperId]);
  }

  async #explain(): Promise<void> {
    for await (const { path, type } of this.#client.list('/', { depth: Infinity })) {
      if (type !== 'file') continue;
      for await (const chunk of this.#client.explain(path)) void chunk;
      return;
    }
  }

  async #try(call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      if (hasCode(error, 'INTERNAL')) throw new Violation(`an order ended with ${String(error)}`);
    }
  }
}
