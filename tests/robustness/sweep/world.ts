/**
 * What a sweep runs on: processes, a client, and what was acknowledged. Three keepers beside one another show what a
 * kill does while the others go on; one keeper and its tracker on one disk, which loses power, show what was not on
 * stable storage when somebody relied on it, because no other copy hides it.
 */
import type { HoldfastClient } from '@holdfast/client';
import { type Cluster, type Member, startProcessCluster } from '@holdfast/local-cluster';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { seededBytes, temporaryFolder } from '../../support/files.js';
import { storedPieces } from '../../support/keeper-disk.js';
import { Ledger } from '../../support/ledger.js';
import { LoopDisk } from '../../support/loop-disk.js';
import { expectHealed } from '../../support/oracle.js';
import { quickProcessCluster } from '../../support/quick-cluster.js';
import { oneFileThread } from '../../support/strace.js';
import { waitFor } from '../../support/wait.js';

export type Victim = 'keeper' | 'tracker';

export interface WorldOptions {
  /** Whether what was deleted can be restored, until the judge comes. */
  readonly keepsTrash?: boolean;
}

export class World {
  readonly folder: string;
  readonly cluster: Cluster;
  readonly disk: LoopDisk | undefined;
  readonly ledger = new Ledger();
  client: HoldfastClient;
  readonly #keepsTrash: boolean;
  readonly #remove: () => Promise<void>;
  #paths = 0;
  #spare: Cluster | undefined;
  /** Of the point that is being looked at. */
  readonly #touched = new Set<string>();
  /** Those of which somebody was told that they were made. */
  readonly #directories = new Set<string>();

  private constructor(
    folder: string,
    cluster: Cluster,
    client: HoldfastClient,
    disk: LoopDisk | undefined,
    keepsTrash: boolean,
    remove: () => Promise<void>,
  ) {
    this.folder = folder;
    this.cluster = cluster;
    this.client = client;
    this.disk = disk;
    this.#keepsTrash = keepsTrash;
    this.#remove = remove;
  }

  static async make(
    kind: 'three keepers' | 'one disk',
    { keepsTrash = false }: WorldOptions = {},
  ): Promise<World> {
    const { path, remove } = await temporaryFolder();
    const isOneDisk = kind === 'one disk';
    const root = join(path, 'servers');
    const disk = isOneDisk ? await LoopDisk.make(root, join(path, 'disk.img'), 512 * 1024 ** 2) : undefined;
    const cluster = await quickProcessCluster(isOneDisk ? 1 : 3, join(root, 'cluster'), {
      trackerFlags: {
        // Uploads of killed clients are over by the end of the sweep.
        'max-upload-lease': '15s',
        // Nobody is to be missed because he is watched, on a busy machine.
        'suspect-after': '15s',
        'dead-after': '60s',
        ...(keepsTrash && { 'trash-retention': '24h' }),
        ...(isOneDisk && { replicas: '1', 'min-write': '1' }),
      },
      environment: oneFileThread,
    });
    return new World(path, cluster, await cluster.connect(), disk, keepsTrash, remove);
  }

  async remove(): Promise<void> {
    await this.cluster.stop();
    await this.#spare?.stop();
    await this.disk?.remove();
    await this.#remove();
  }

  member(victim: Victim): Member {
    return victim === 'tracker' ? this.cluster.tracker : this.cluster.keepers[0]!;
  }

  /** A path that nothing was at so far. */
  path(name: string): string {
    this.#paths += 1;
    return this.touch(`/${name}-${this.#paths}`);
  }

  /** The same for a directory, below another one that is made with it. */
  newDirectory(name: string): string {
    this.#paths += 1;
    return `/${name}-${this.#paths}/below`;
  }

  /** From now on it is looked at after each point. */
  async makeDirectory(path: string): Promise<void> {
    await this.client.makeDirectory(path, { parents: true });
    this.#directories.add(path);
  }

  /** One that is looked at after the point. */
  touch(path: string): string {
    this.#touched.add(path);
    return path;
  }

  /** Other bytes each time. */
  bytes(length: number): Buffer {
    this.#paths += 1;
    return seededBytes(this.#paths, length);
  }

  newFolder(): Promise<string> {
    return mkdtemp(join(this.disk?.path ?? this.folder, 'new-'));
  }

  /** HOST:PORT of a tracker of which nobody expects anything; not on the disk that loses power. */
  async spareTracker(): Promise<string> {
    this.#spare ??= await startProcessCluster({ dataDir: join(this.folder, 'spare'), keepers: 0 });
    return this.#spare.trackerAddress;
  }

  /** Stores a file and waits until all its copies are there. */
  async store(name: string, length: number, options: { replicas?: number } = {}) {
    const path = this.path(name);
    const bytes = this.bytes(length);
    await this.ledger.upload(this.client, path, bytes, options);
    await this.settle();
    if (options.replicas === undefined) await this.untilStored(path);
    return { path, bytes, chunks: await this.chunksOf(path) };
  }

  /** Those of the chunks that the first keeper has in their place. */
  async onVictim(chunks: readonly string[]) {
    const pieces = await storedPieces(this.cluster.keepers[0]!.dataDir);
    return pieces.filter(({ chunkId }) => chunks.includes(chunkId));
  }

  /** A keeper that is slow may be left behind by an upload that has enough of the others. */
  async untilStored(...paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      await waitFor(
        `the victim to have ${path}`,
        async () => {
          const chunks = await this.chunksOf(path);
          return (await this.onVictim(chunks)).length === chunks.length;
        },
        180_000,
      );
    }
  }

  async chunksOf(path: string): Promise<string[]> {
    const chunks: string[] = [];
    for await (const { chunkId } of this.client.explain(path)) chunks.push(chunkId);
    return chunks;
  }

  async untilTrashed(chunks: readonly string[]): Promise<void> {
    await waitFor('the victim to have given the pieces up', async () => {
      return (await this.onVictim(chunks)).length === 0;
    });
  }

  /** Waits until nothing goes on that would be counted among the calls of what comes. */
  async settle(): Promise<void> {
    await waitFor(
      'the cluster to be at rest',
      async () => {
        const { keepers, chunksBelowPolicy, repairsInFlight } = await this.client.status();
        const running = keepers.filter(({ state }) => state !== 'dead');
        const areIn = running.every(({ state, reported }) => state === 'live' && reported);
        const areAll = running.length >= this.cluster.keepers.length;
        return areIn && areAll && chunksBelowPolicy + repairsInFlight === 0;
      },
      90_000,
    );
  }

  /** What was touched since the last time is as the ledger says, and every directory is there. */
  async checkTouched(): Promise<void> {
    for (const path of this.#touched) await this.ledger.check(this.client, path);
    for (const path of this.#directories) {
      const { type } = await this.client.stat(path);
      if (type !== 'directory') throw new Error(`${path} is a ${type}`);
    }
  }

  beginPoint(): void {
    this.#touched.clear();
  }

  /** Everything loses power at once and comes up again; without a disk of its own, the victim alone is started anew. */
  async recover(victim: Member): Promise<void> {
    if (this.disk === undefined) {
      await victim.kill();
      await victim.start();
      return;
    }
    await this.disk.cutPower();
    await this.cluster.killAll();
    await this.disk.restorePower();
    await this.cluster.startAll();
  }

  /** The oracle of all scenarios. Leaves the cluster stopped. */
  async judge(): Promise<void> {
    await this.checkTouched();
    // Elsewhere the tracker gives up by itself what was deleted.
    if (this.#keepsTrash) await this.client.emptyTrash();
    await expectHealed(this.cluster, this.ledger);
  }
}
