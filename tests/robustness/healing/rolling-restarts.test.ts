/** Real processes end and start again, one after the other, while clients work: in order, and by kill -9. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster, Member } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededBytes, temporaryFolder } from '../../support/files.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import { chunkSizeBytes, quickProcessCluster, storeFiles } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;

beforeEach(async () => {
  folder = await temporaryFolder();
  cluster = await quickProcessCluster(4, join(folder.path, 'cluster'));
  client = await cluster.connect();
  ledger = new Ledger();
});

afterEach(async () => {
  await cluster.stop();
  await folder.remove();
});

/** Between two steps of each: more load than this only has the test wait for itself. */
const breathMs = 10;

/** Clients that store, replace, delete and read until told to stop. Rejects with the first thing that fails. */
function load(): { readonly changes: () => number; stop(): Promise<void> } {
  let working = true;
  let changes = 0;
  const writer = async (name: string, seed: number): Promise<void> => {
    for (let turn = 0; working; turn += 1) {
      const path = `/${name}-${turn % 5}`;
      const bytes = seededBytes(seed + turn, (1 + (turn % 7)) * chunkSizeBytes - turn);
      await ledger.upload(client, path, bytes, { chunkSizeBytes });
      await ledger.check(client, path);
      if (turn % 4 === 3) await ledger.remove(client, path);
      changes += 1;
      await sleep(breathMs);
    }
  };
  const reader = async (): Promise<void> => {
    for (let turn = 0; working; turn += 1) {
      await ledger.check(client, `/f-${turn % 6}`);
      await sleep(breathMs);
    }
  };
  const work = Promise.all([writer('a', 10_000), writer('b', 20_000), reader(), reader()]);
  work.catch(() => (working = false));
  return {
    changes: () => changes,
    async stop() {
      working = false;
      await work;
    },
  };
}

/** Every process in turn, each when the cluster has taken the last one back and work has gone on since. */
async function endEachInTurn(end: (member: Member) => Promise<void>): Promise<void> {
  await storeFiles(client, ledger, { count: 6, chunks: 8, seed: 1_300 });
  const work = load();
  try {
    for (const member of [...cluster.keepers, cluster.tracker]) {
      await end(member);
      await member.start();
      const before = work.changes();
      await waitFor('all to be live', async () =>
        (await client.status()).keepers.every(({ state, reported }) => state === 'live' && reported),
      );
      await waitFor('work to go on', () => work.changes() > before + 2);
    }
  } finally {
    // Nothing that a client asked for has failed.
    await work.stop();
  }
  expect(ledger.unknown).toBe(0);
  await expectHealed(cluster, ledger);
}

it('each process is stopped and started in turn under load, and no client notices', async () => {
  await endEachInTurn((member) => member.stop());
});

it('each process is killed and started in turn under load, and no client notices', async () => {
  await endEachInTurn((member) => member.kill());
});
