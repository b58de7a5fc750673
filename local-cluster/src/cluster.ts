/**
 * A cluster on this machine: a tracker and its keepers as members that can be stopped, killed and started again
 * one by one. The handle is the same whether they run in this process or as processes of their own.
 */
import { type ConnectOptions, type HoldfastClient, connect } from '@holdfast/client';
import { join } from 'node:path';
import { Member, type Launch } from './member.js';

/** How to start the servers of a cluster. */
export interface Launchers {
  tracker(dataDir: string): Launch;
  keeper(dataDir: string, options: KeeperOptions, trackerAddress: () => string): Launch;
}

export interface KeeperOptions {
  /** The failure domain; by default each keeper is one of its own. */
  readonly zone?: string;
  /** How much it may store, in bytes; by default what the disk has. */
  readonly capacityBytes?: number;
}

export interface ClusterPlan {
  readonly dataDir: string;
  /** 0: any free one, here and for the keepers. */
  readonly trackerPort: number;
  /** The first keeper's port; the next ones follow. 0: any free ones. */
  readonly firstKeeperPort: number;
  /** One for each keeper to start with. */
  readonly keepers: readonly KeeperOptions[];
}

/** Loopback only: a local cluster has no access control of its own. */
const host = '127.0.0.1';

export class Cluster implements AsyncDisposable {
  readonly dataDir: string;
  readonly tracker: Member;
  readonly #plan: ClusterPlan;
  readonly #launchers: Launchers;
  readonly #keepers: Member[] = [];
  readonly #clients = new Set<HoldfastClient>();
  readonly #cleanUp: () => Promise<void>;

  /** Use `startCluster` or `startProcessCluster`. @internal */
  constructor(plan: ClusterPlan, launchers: Launchers, cleanUp: () => Promise<void>) {
    this.dataDir = plan.dataDir;
    this.#plan = plan;
    this.#launchers = launchers;
    this.#cleanUp = cleanUp;
    const dataDir = join(plan.dataDir, 'tracker');
    this.tracker = new Member({
      name: 'tracker',
      dataDir,
      listen: `${host}:${plan.trackerPort}`,
      launch: launchers.tracker(dataDir),
    });
  }

  /** HOST:PORT for clients. */
  get trackerAddress(): string {
    return this.tracker.address;
  }

  /** Every keeper that was ever started, in order, running or not. */
  get keepers(): readonly Member[] {
    return this.#keepers;
  }

  /** Starts the tracker, then all keepers at once. What had started is stopped if one fails. @internal */
  async start(): Promise<this> {
    try {
      await this.tracker.start();
      const members = this.#plan.keepers.map((options) => this.#newKeeper(options));
      // All are given their end before one failure is told, so that none is left behind.
      const outcomes = await Promise.allSettled(members.map((member) => member.start()));
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed) throw failed.reason;
      return this;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Adds one more keeper and starts it. */
  async addKeeper(options: KeeperOptions = {}): Promise<Member> {
    const member = this.#newKeeper(options);
    await member.start();
    return member;
  }

  /** A client of this cluster, closed with it at the latest. */
  async connect(options: Omit<ConnectOptions, 'tracker'> = {}): Promise<HoldfastClient> {
    const client = await connect({ ...options, tracker: this.trackerAddress });
    this.#clients.add(client);
    return client;
  }

  /** Kills every server at the same moment. */
  async killAll(): Promise<void> {
    await Promise.all([this.tracker, ...this.#keepers].map((member) => member.kill()));
  }

  /** Starts every server that does not run. */
  async startAll(): Promise<void> {
    await this.tracker.start();
    await Promise.all(this.#keepers.map((member) => member.start()));
  }

  /** Stops every server that runs, and closes the clients; the data stays. */
  async stopAll(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.#clients.clear();
    // The tracker last: keepers say goodbye to it.
    await Promise.all(this.#keepers.map((member) => member.stop()));
    await this.tracker.stop();
  }

  /** Stops everything, and removes the data if the cluster made its own directory. */
  async stop(): Promise<void> {
    await this.stopAll();
    await this.#cleanUp();
  }

  /** `await using cluster = await startCluster()` stops it with its block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #newKeeper(options: KeeperOptions): Member {
    const number = this.#keepers.length + 1;
    const name = `keeper-${number}`;
    const dataDir = join(this.#plan.dataDir, name);
    const port = this.#plan.firstKeeperPort === 0 ? 0 : this.#plan.firstKeeperPort + number - 1;
    const member = new Member({
      name,
      dataDir,
      listen: `${host}:${port}`,
      launch: this.#launchers.keeper(dataDir, options, () => this.trackerAddress),
    });
    this.#keepers.push(member);
    return member;
  }
}
