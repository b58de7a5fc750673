/**
 * One misfortune after the other, chosen by a seed, while clients store, replace and delete: each hits one keeper, or
 * the tracker in the middle of what it does about it. What three copies survive must be survived, whatever the order.
 *
 * HOLDFAST_STORM_SEED chooses another storm.
 */
import { afterEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster, Member } from '@holdfast/local-cluster';
import { readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { seededBytes } from '../../support/files.js';
import { storedPieces } from '../../support/keeper-disk.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import { chunkSizeBytes, quickCluster, waitForState } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';

const seed = Number(process.env['HOLDFAST_STORM_SEED'] ?? 1_500);
/** Some seconds each. */
const rounds = 5;

/** Numbers from 0 to below `below`, the same for the same seed (Lehmer's generator). */
function numbersFrom(start: number): (below: number) => number {
  let state = (start % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

let cluster: Cluster;
afterEach(() => cluster.stop());

type Misfortune = (
  keeper: Member,
  client: HoldfastClient,
  number: (below: number) => number,
) => Promise<void>;

const dead = (keeper: Member, client: HoldfastClient): Promise<void> =>
  waitForState(client, keeper.keeperId, 'dead');

/** All leave the keeper running, and some of its pieces gone or bad. */
const misfortunes: Readonly<Record<string, Misfortune>> = {
  async 'killed and started'(keeper) {
    await keeper.kill();
    await keeper.start();
  },
  async 'killed, and back when it was dead'(keeper, client) {
    await keeper.kill();
    await dead(keeper, client);
    await keeper.start();
  },
  async 'stopped and started'(keeper) {
    await keeper.restart();
  },
  async wiped(keeper, client) {
    await keeper.kill();
    await dead(keeper, client);
    await rm(keeper.dataDir, { recursive: true });
    await keeper.start();
  },
  async 'some pieces lost while it was down'(keeper, _client, number) {
    await keeper.kill();
    for (const { path } of await storedPieces(keeper.dataDir)) if (number(3) === 0) await unlink(path);
    await keeper.start();
  },
  async 'some pieces damaged while it was down'(keeper, _client, number) {
    await keeper.kill();
    for (const { path } of await storedPieces(keeper.dataDir)) {
      const file = await readFile(path);
      const way = number(6);
      if (way === 0) await truncate(path, number(file.length));
      if (way === 1) await writeFile(path, Buffer.concat([file, Buffer.of(0)]));
      if (way === 2) await writeFile(path, file.fill(0, 0, 1 + number(200)));
    }
    await keeper.start();
  },
  async 'a shard removed under it'(keeper, _client, number) {
    const pieces = await storedPieces(keeper.dataDir);
    const piece = pieces[number(Math.max(1, pieces.length))];
    if (piece) await rm(dirname(piece.path), { recursive: true });
    await keeper.restart();
  },
};

/** A client that changes its own files until told to stop; a change that fails is unknown to the ledger. */
function changes(client: HoldfastClient, ledger: Ledger, name: string, start: number) {
  const number = numbersFrom(start);
  let working = true;
  const work = (async () => {
    while (working) {
      const path = `/${name}-${number(6)}`;
      const isThere = ledger.paths.includes(path);
      const bytes = seededBytes(number(1_000_000), 1 + number(6 * chunkSizeBytes));
      const change =
        isThere && number(4) === 0
          ? ledger.remove(client, path)
          : ledger.upload(client, path, bytes, { chunkSizeBytes });
      await change.catch(() => undefined);
    }
  })();
  return {
    async stop(): Promise<void> {
      working = false;
      await work;
    },
  };
}

it(`a storm is survived (HOLDFAST_STORM_SEED=${seed})`, async () => {
  const number = numbersFrom(seed);
  const ledger = new Ledger();
  cluster = await quickCluster(5);
  const client = await cluster.connect();
  for (let index = 0; index < 4; index += 1) {
    const bytes = seededBytes(seed + index, 8 * chunkSizeBytes - index);
    await ledger.upload(client, `/kept-${index}`, bytes, { chunkSizeBytes, minWrite: 3 });
  }
  const clients = ['a', 'b'].map((name) => changes(client, ledger, name, number(2 ** 30)));
  const story: string[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      const names = Object.keys(misfortunes);
      const what = names[number(names.length)]!;
      const keeper = cluster.keepers[number(cluster.keepers.length)]!;
      const trackerToo = number(3) === 0;
      story.push(`${keeper.name}: ${what}${trackerToo ? ', and the tracker is killed' : ''}`);
      await misfortunes[what]!(keeper, client, number);
      if (trackerToo) {
        await cluster.tracker.kill();
        await cluster.tracker.start();
      }
      // The next one may hit another copy of the same chunks.
      await waitFor(
        'the cluster to have healed',
        async () => {
          const { keepers, chunksBelowPolicy, repairsInFlight } = await client.status();
          const isSettled = keepers.every(({ keeperId, state, reported }) => {
            const runs = cluster.keepers.some((each) => each.keeperId === keeperId);
            return runs ? state === 'live' && reported : state === 'dead';
          });
          return isSettled && chunksBelowPolicy + repairsInFlight === 0;
        },
        60_000,
      );
      for (let index = 0; index < 4; index += 1) await ledger.check(client, `/kept-${index}`);
    }
    for (const each of clients) await each.stop();
    await expectHealed(cluster, ledger);
  } catch (error) {
    throw new Error(`after ${story.join('; ')}: ${String(error)}`, { cause: error });
  } finally {
    for (const each of clients) await each.stop();
  }
  expect(story).toHaveLength(rounds);
}, 300_000);
