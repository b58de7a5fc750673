/**
 * One server of a local cluster, which can be stopped, killed and started again on the same directory and
 * address. How it runs (in this process or as one of its own) is the launcher's business.
 */

import { type Fault, type FaultControls, type FaultName, type FaultOptions, bringAbout } from './faults.js';

/** A server that runs. */
export interface Running {
  /** HOST:PORT where others reach it. */
  readonly address: string;
  /** HOST:PORT as it really listens, where that is another one. */
  readonly boundAddress?: string;
  /** The process, if it is one of its own. */
  readonly pid?: number;
  /** Keepers: who it is. */
  readonly keeperId?: string;
  /** Faults other than its end, where the launcher offers them. */
  readonly controls?: FaultControls;
  /** Ends it as Ctrl-C would: running calls may finish, peers are told. */
  stop(): Promise<void>;
  /** Ends it as a power cut would: nothing is finished, nobody is told. */
  kill(): Promise<void>;
}

/** Starts the server so that it listens on HOST:PORT; port 0 is any free one. */
export type Launch = (listen: string) => Promise<Running>;

export interface MemberOptions {
  /** For people: "tracker", "keeper-1". */
  readonly name: string;
  /** The directory that holds all it knows. */
  readonly dataDir: string;
  /** HOST:PORT for the first start; later starts take the port that the first one got. */
  readonly listen: string;
  readonly launch: Launch;
}

export class Member {
  readonly name: string;
  readonly dataDir: string;
  readonly #launch: Launch;
  #listen: string;
  #running: Running | undefined;
  #keeperId = '';

  constructor(options: MemberOptions) {
    this.name = options.name;
    this.dataDir = options.dataDir;
    this.#listen = options.listen;
    this.#launch = options.launch;
  }

  /** HOST:PORT. Stays the same over restarts. */
  get address(): string {
    return this.#running?.address ?? this.#listen;
  }

  /** Keepers: who it is; '' for the tracker, and before the first start. */
  get keeperId(): string {
    return this.#keeperId;
  }

  /** The process, if it runs as one of its own. */
  get pid(): number | undefined {
    return this.#running?.pid;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** @internal */
  get controls(): FaultControls | undefined {
    return this.#running?.controls;
  }

  /**
   * Brings a fault about, which lasts until it is ended. Faults of different names can be there at once.
   *
   * @example
   * const fault = await cluster.keepers[0].fault('slow', { delayMs: 500 });
   * // … what does the application do now? …
   * await fault.end();
   *
   * @throws HoldfastError INVALID_ARGUMENT: `partition`, `slow` and `full` need a cluster with `faults: true`,
   *   and `full` one in this process
   */
  fault(name: FaultName, options: FaultOptions = {}): Promise<Fault> {
    return bringAbout(this, name, options);
  }

  /** Starts it; does nothing if it runs. */
  async start(): Promise<void> {
    if (this.#running) return;
    this.#running = await this.#launch(this.#listen);
    this.#listen = this.#running.address;
    this.#keeperId = this.#running.keeperId ?? '';
  }

  /** Ends it gracefully; does nothing if it does not run. */
  stop(): Promise<void> {
    return this.#end((running) => running.stop());
  }

  /** Ends it as a power cut would; does nothing if it does not run. */
  kill(): Promise<void> {
    return this.#end((running) => running.kill());
  }

  /** Stops it if it runs, and starts it again on the same directory and address. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async #end(how: (running: Running) => Promise<void>): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running) await how(running);
  }
}
