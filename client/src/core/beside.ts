/** Jobs beside a walk, which goes on while they run. */
import { filesAtOnce } from './for-each.js';

export class Beside {
  /** One that fails stays, for whoever comes next to hear of it. */
  readonly #running = new Set<Promise<void>>();

  /** Starts a job and resolves when there is room for another one. @throws what one of them threw */
  async start(job: () => Promise<void>): Promise<void> {
    const ran: Promise<void> = job().then(() => void this.#running.delete(ran));
    ran.catch(() => undefined);
    this.#running.add(ran);
    while (this.#running.size >= filesAtOnce) await Promise.race(this.#running);
  }

  /** Resolves when all have ended. @throws what one of them threw */
  async ended(): Promise<void> {
    await Promise.all(this.#running);
  }
}
