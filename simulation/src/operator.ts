/** Somebody who looks after the cluster while things go wrong: asks it, and orders what is safe at any time. */
import { type HoldfastClient, HoldfastError, hasCode } from '@holdfast/client';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedProcess } from './simulated-process.js';
import { Violation } from './violation.js';

/** Between two orders, at most. */
const pauseMs = 15_000;
/** For how long a keeper is said to be away, at most: some of them die within it. */
const awayMs = 30_000;

export class Operator {
  readonly #client: HoldfastClient;
  readonly #process: SimulatedProcess;
  readonly #random: SeededRandom;
  /** The drain that was ordered and has to be taken back. */
  #drain: string | undefined;
  /** The keeper that may be said to be away, which has to be taken back. */
  #away: string | undefined;

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
    while (this.#drain !== undefined || this.#away !== undefined) {
      await this.#try(() => this.#cancelDrain());
      await this.#try(() => this.#endAway());
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
      () => all(client.listJobs()),
      () => all(client.events({ limit: 200 })),
      () => this.#forget(),
      () => (this.#away === undefined ? this.#beginAway() : this.#endAway()),
      () => (this.#drain === undefined ? this.#startDrain() : this.#cancelDrain()),
    ];
    await this.#random.pick(orders)();
  }

  /** It is refused for all but those that nobody needs. */
  async #forget(): Promise<void> {
    const keepers = await this.#client.keepers();
    const dead = keepers.filter(({ state }) => state === 'dead');
    const { keeperId } = this.#random.pick(dead.length > 0 ? dead : keepers);
    await this.#client.forgetKeeper(keeperId);
  }

  async #beginAway(): Promise<void> {
    const { keeperId } = this.#random.pick(await this.#client.keepers());
    // Also if nobody answers.
    this.#away = keeperId;
    await this.#client.setMaintenance(keeperId, this.#random.integer(1, awayMs));
  }

  async #endAway(): Promise<void> {
    if (this.#away === undefined) return;
    try {
      await this.#client.setMaintenance(this.#away, 0);
    } catch (error) {
      // It is dead, or forgotten: when it comes back it is there.
      if (!hasCode(error, 'INVALID_ARGUMENT', 'NOT_FOUND')) throw error;
    }
    this.#away = undefined;
  }

  async #startDrain(): Promise<void> {
    const { keeperId } = this.#random.pick(await this.#client.keepers());
    this.#drain = await this.#client.drainKeeper(keeperId);
  }

  async #cancelDrain(): Promise<void> {
    if (this.#drain !== undefined) await this.#client.cancelJob(this.#drain);
    this.#drain = undefined;
  }

  async #previewLoss(): Promise<void> {
    const { keeperId } = this.#random.pick(await this.#client.keepers());
    await this.#client.previewKeeperLoss([keeperId]);
  }

  async #explain(): Promise<void> {
    for await (const { path, type } of this.#client.list('/', { depth: Infinity })) {
      if (type === 'file') return all(this.#client.explain(path));
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

/** Goes through a list to its end. */
async function all(list: AsyncIterable<unknown>): Promise<void> {
  for await (const item of list) void item;
}
