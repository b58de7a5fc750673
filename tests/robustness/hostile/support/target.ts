/**
 * A cluster of real processes that is attacked, with what must stay true of it: no process ends, memory is bounded,
 * what was stored before is there to the byte afterwards, and nothing else is.
 */
import { type HoldfastClient, hasCode } from '@holdfast/client';
import { type Cluster, startProcessCluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { peakResidentBytesOf } from '../../../support/command.js';
import { temporaryFolder } from '../../../support/files.js';
import { Ledger } from '../../../support/ledger.js';
import { expectHealed } from '../../../support/oracle.js';
import { storeFiles } from '../../../support/quick-cluster.js';
import { waitFor } from '../../../support/wait.js';

const trackerFlags = Object.entries({
  'heartbeat-interval': '200ms',
  'suspect-after': '1s',
  // A busy machine must not make a death of it.
  'dead-after': '5s',
  maintenance: '5s',
  'trash-retention': '0s',
  'reclaim-grace': '100ms',
  // What the attack begins and leaves is over soon after it, whatever it asked for.
  'upload-lease': '3s',
  'max-upload-lease': '3s',
}).map(([flag, value]) => `--${flag}=${value}`);

export class Target {
  readonly cluster: Cluster;
  readonly client: HoldfastClient;
  /** Three files, /f-0 to /f-2, of three chunks each. */
  readonly ledger: Ledger;
  readonly #exits: string[];
  readonly #cleanUp: () => Promise<void>;

  private constructor(
    cluster: Cluster,
    client: HoldfastClient,
    ledger: Ledger,
    exits: string[],
    cleanUp: () => Promise<void>,
  ) {
    this.cluster = cluster;
    this.client = client;
    this.ledger = ledger;
    this.#exits = exits;
    this.#cleanUp = cleanUp;
  }

  static async start(): Promise<Target> {
    const folder = await temporaryFolder();
    const exits: string[] = [];
    const cluster = await startProcessCluster({
      dataDir: join(folder.path, 'cluster'),
      keepers: 3,
      trackerFlags,
      onUnexpectedExit: ({ command, reason }) => exits.push(`${command.join(' ')}: ${reason}`),
      // For whoever looks for the reason of an answer: stacks of defects are in the log.
      logs: process.env['HOLDFAST_FUZZ_LOGS'] === undefined ? 'ignore' : 'inherit',
    });
    const client = await cluster.connect();
    const ledger = new Ledger();
    await waitFor('all keepers to take pieces', async () =>
      (await client.keepers()).every(({ state, reported }) => state === 'live' && reported),
    );
    await storeFiles(client, ledger, { count: 3, chunks: 3, seed: 7 });
    return new Target(cluster, client, ledger, exits, folder.remove);
  }

  /** By address, what the processes are called. */
  get servers(): readonly { readonly name: string; readonly address: string; readonly pid: number }[] {
    const { tracker, keepers } = this.cluster;
    return [tracker, ...keepers].map(({ name, address, pid }) => ({ name, address, pid: pid ?? 0 }));
  }

  /** Servers that ended. */
  get exits(): readonly string[] {
    return this.#exits;
  }

  peakBytes(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.servers.map(({ name, pid }) => [name, peakResidentBytesOf(pid)]));
  }

  /**
   * Removes what the attack was given when it asked, and lets the judge look for what is left.
   *
   * @param asked whether a name in the root directory was asked for
   */
  async judge(asked: (name: string) => boolean): Promise<void> {
    const { client, cluster, ledger } = this;
    const own = new Set(ledger.paths);
    for await (const { path } of client.list('/')) {
      if (own.has(path)) continue;
      if (!asked(path.slice(1))) throw new Error(`${JSON.stringify(path)} is there, and nobody asked for it`);
      await client.remove(path, { recursive: true });
    }
    await this.#forgetStrangers(new Set(cluster.keepers.map(({ keeperId }) => keeperId)));
    await expectHealed(cluster, ledger);
  }

  /** Keepers that registered and were never heard of again. */
  async #forgetStrangers(own: ReadonlySet<string>): Promise<void> {
    const { client } = this;
    const strangers = (await client.keepers()).filter(({ keeperId }) => !own.has(keeperId));
    for (const { keeperId } of strangers) {
      await client.setMaintenance(keeperId, 0).catch(ignoreGone);
      await waitFor(`the strange keeper ${keeperId} to be forgotten`, async () => {
        await client.forgetKeeper(keeperId).catch(ignoreGone);
        return true;
      });
    }
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await this.#cleanUp();
  }
}

function ignoreGone(error: unknown): void {
  if (!hasCode(error, 'NOT_FOUND')) throw error;
}
