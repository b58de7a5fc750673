/**
 * Power goes, and with it all that was not on stable storage: real file systems, shut down under the servers that use
 * them, while clients do a bit of everything. What was acknowledged is there when power is back.
 *
 * HOLDFAST_POWER_ROUNDS says how often, HOLDFAST_POWER_SEED when. Without the first it goes once, and not in all ways.
 */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster, Member } from '@holdfast/local-cluster';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../support/command.js';
import { seededBytes, temporaryFolder } from '../support/files.js';
import { Ledger } from '../support/ledger.js';
import { LoopDisk, missingForPowerCuts } from '../support/loop-disk.js';
import { MixedLoad } from '../support/mixed-load.js';
import { numbersFrom } from '../support/seeded-numbers.js';
import { expectHealed } from '../support/oracle.js';
import { quickProcessCluster, waitForLive } from '../support/quick-cluster.js';
import { Tracer, missingForStrace, syncCalls } from '../support/strace.js';
import { ThinDisk, missingForThinDisks } from '../support/thin-disk.js';
import { waitFor } from '../support/wait.js';

const wantedRounds = process.env['HOLDFAST_POWER_ROUNDS'];
const rounds = Number(wantedRounds ?? 1);
const seed = Number(process.env['HOLDFAST_POWER_SEED'] ?? 1);
const limitMs = 600_000 + rounds * 60_000;
const missing = missingForPowerCuts();
/** Of what is much the same as what the sweep and the simulation do. */
const missingForMore = missing ?? (wantedRounds === undefined ? 'HOLDFAST_POWER_ROUNDS' : undefined);
const MiB = 1024 ** 2;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let dataDir: string;
let ledger: Ledger;
/** What a test has made, to be undone from its end. */
let undo: (() => Promise<void>)[];

beforeEach(async () => {
  folder = await temporaryFolder();
  dataDir = join(folder.path, 'cluster');
  ledger = new Ledger();
  undo = [];
});

afterEach(async () => {
  for (const step of undo.reverse()) await step();
  await folder.remove();
});

function itNeeds(what: string | undefined, name: string, test: () => Promise<void>): void {
  if (what === undefined) it(`${name} (HOLDFAST_POWER_SEED=${seed})`, test, limitMs);
  else it.skip(`${name} (needs ${what})`, test);
}

/** A disk for everything at and below `path`. */
async function diskAt(path: string): Promise<LoopDisk> {
  const disk = await LoopDisk.make(path, join(folder.path, 'disk.img'), 512 * MiB);
  undo.push(() => disk.remove());
  return disk;
}

async function start(keepers: number): Promise<{ cluster: Cluster; client: HoldfastClient }> {
  const cluster = await quickProcessCluster(keepers, dataDir);
  undo.push(() => cluster.stop());
  return { cluster, client: await cluster.connect() };
}

/** Has clients at work while power goes, and is cut off, at moments of the seed's choice; then all has to be well. */
async function survives(cluster: Cluster, client: HoldfastClient, lose: () => Promise<void>): Promise<void> {
  const number = numbersFrom(seed);
  const load = new MixedLoad(client, ledger, 4, seed);
  try {
    for (let round = 0; round < rounds; round += 1) {
      const before = load.changes;
      await waitFor('changes to be made', () => load.changes > before + 5, 180_000);
      await sleep(number(1_000));
      await lose();
    }
  } finally {
    await load.stop();
  }
  await expectHealed(cluster, ledger);
}

async function loseOne(disk: LoopDisk, member: Member): Promise<void> {
  await disk.cutPower();
  await member.kill();
  await disk.restorePower();
  await member.start();
}

itNeeds(missing, 'the machine with all servers loses power', async () => {
  const disk = await diskAt(folder.path.concat('/machine'));
  dataDir = join(disk.path, 'cluster');
  const { cluster, client } = await start(3);
  await survives(cluster, client, async () => {
    await disk.cutPower();
    await cluster.killAll();
    await disk.restorePower();
    await cluster.startAll();
  });
});

itNeeds(missingForMore, 'the machine with one keeper loses power', async () => {
  const disk = await diskAt(join(dataDir, 'keeper-1'));
  const { cluster, client } = await start(4);
  await survives(cluster, client, () => loseOne(disk, cluster.keepers[0]!));
});

itNeeds(missingForMore ?? missingForStrace(), 'a disk that lies about its syncs loses power', async () => {
  const disk = await diskAt(join(dataDir, 'keeper-1'));
  const { cluster, client } = await start(4);
  const liar = cluster.keepers[0]!;
  const log = join(folder.path, 'strace.log');
  const lie = () => Tracer.attach(liar.pid ?? 0, log, { calls: syncCalls, fate: 'lie' });
  await lie();
  await survives(cluster, client, async () => {
    await loseOne(disk, liar);
    // Nobody else can tell what is in its files.
    const job = await client.waitForJob(await client.scrub([liar.keeperId]));
    expect(job.state).toBe('done');
    await lie();
  });
});

interface FailedSync {
  readonly name: string;
  before(server: Member, client: HoldfastClient): Promise<void>;
  untilFailed(server: Member, client: HoldfastClient): Promise<unknown>;
  /** After it was started again. */
  goOn?(client: HoldfastClient): Promise<void>;
}

/** A disk for one server, which fails to sync, has room again, and loses power after the server went on. */
async function failToSync({ name, before, untilFailed, goOn }: FailedSync): Promise<void> {
  const thin = await ThinDisk.make(join(dataDir, name), join(folder.path, 'memory'));
  undo.push(() => thin.remove());
  const { cluster, client } = await start(4);
  const server = [cluster.tracker, ...cluster.keepers].find((each) => each.name === name)!;
  await survives(cluster, client, async () => {
    await before(server, client);
    await thin.exhaust();
    await untilFailed(server, client);
    await thin.replenish();
    await server.kill();
    await server.start();
    // What is acknowledged from now on must not rest on what the failed sync left in memory.
    const bytes = seededBytes(seed, 1_000);
    await waitForLive(client, 3);
    for (let index = 0; index < 5; index += 1) await ledger.upload(client, `/after-${index}`, bytes);
    await goOn?.(client);
    await loseOne(thin.disk, server);
    expect((await client.status()).metadataRegressed).toBe(false);
  });
}

const restart = (server: Member): Promise<void> => server.restart();

let directories = 0;
/** Has the metadata grow by some pages. */
async function grow(client: HoldfastClient): Promise<void> {
  const signal = AbortSignal.timeout(5_000);
  const paths = Array.from({ length: 10 }, () => `/more-${(directories += 1)}`);
  await Promise.all(paths.map((path) => client.makeDirectory(path, { signal })));
}

/** Has it grow until the tracker takes its log over into its database, and begins it anew in the same blocks. */
async function fillLog(client: HoldfastClient): Promise<void> {
  const database = join(dataDir, 'tracker', 'metadata.sqlite');
  const { mtimeMs } = await stat(database);
  await waitFor('the database to be written', async () => {
    await grow(client);
    return (await stat(database)).mtimeMs > mtimeMs;
  });
}

const ofTracker = {
  name: 'tracker',
  untilFailed: ({ pid = 0 }: Member, client: HoldfastClient) =>
    waitFor(
      'the tracker to end',
      async () => {
        await grow(client).catch(() => undefined);
        return !isRunning(pid);
      },
      180_000,
    ),
  async goOn(client: HoldfastClient): Promise<void> {
    for (let round = 0; round < 2; round += 1) await fillLog(client);
  },
};

itNeeds(
  missingForThinDisks(),
  'the disk of the tracker fails to sync its log, has room again, and loses power',
  () =>
    // It begins a new log, which needs room.
    failToSync({ ...ofTracker, before: restart }),
);

itNeeds(
  missingForThinDisks(),
  'the disk of the tracker fails to sync its database, has room again, and loses power',
  () =>
    // The log has its blocks; what the database grows by needs room.
    failToSync({ ...ofTracker, before: (_, client) => fillLog(client) }),
);

itNeeds(
  missingForMore ?? missingForThinDisks(),
  'the disk of a keeper fails to sync, has room again, and loses power',
  () =>
    failToSync({
      name: 'keeper-1',
      before: restart,
      untilFailed: ({ keeperId }, client) =>
        waitFor(
          'the keeper to say so',
          async () => {
            const { keepers } = await client.status();
            return keepers.find((each) => each.keeperId === keeperId)?.storageError;
          },
          180_000,
        ),
    }),
);

/** False also of one that has ended and is not waited for. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

itNeeds(
  missing,
  'the machine of a client loses power: what it fetched is there whole, or not at all',
  async () => {
    const disk = await diskAt(join(folder.path, 'client'));
    const { cluster, client } = await start(3);
    const bytes = seededBytes(seed, 3 * MiB);
    await client.upload(bytes, '/file');
    const number = numbersFrom(seed);
    for (let round = 0; round < rounds; round += 1) {
      const targets = Array.from({ length: 50 }, (_, index) => join(disk.path, `target-${round}-${index}`));
      let fetched = 0;
      const fetching = (async () => {
        for (const target of targets) {
          const args = ['download', '/file', target, '--tracker', cluster.trackerAddress];
          if ((await run('client', args)).status !== 0) return;
          fetched += 1;
        }
      })();
      await waitFor('some to be there', () => fetched > number(3));
      await sleep(number(500));
      await disk.cutPower();
      await fetching;
      await disk.restorePower();
      for (const target of targets) {
        const found = await readFile(target).catch(() => undefined);
        if (found) expect([target, found.length, found.equals(bytes)]).toEqual([target, bytes.length, true]);
      }
    }
  },
);
