/**
 * What a keeper makes of a data directory that somebody or something has been at: it starts and serves what is good, or
 * says what is wrong and what to do; it never hangs, dies of it, or takes good pieces along.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type HoldfastClient, HoldfastError } from '@holdfast/client';
import type { Cluster, Member } from '@holdfast/local-cluster';
import { cp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Ledger } from '../../support/ledger.js';
import { type PieceFile, storedPieces } from '../../support/keeper-disk.js';
import { expectHealed } from '../../support/oracle.js';
import { quickCluster, storeFiles } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';
import { changes, releasePipe, replacements } from './support/damage.js';
import { Choices, seeds } from './support/random.js';
import { within } from './support/within.js';

/** A start takes a tenth of a second, on a machine that has nothing else to do; what hangs never ends. */
const startMs = 120_000;

let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;
let keeper: Member;

beforeAll(async () => {
  cluster = await quickCluster(3, {
    trackerSettings: { suspectAfterMs: 60_000, deadAfterMs: 600_000, maintenanceMs: 600_000 },
  });
  client = await cluster.connect();
  ledger = new Ledger();
  await waitFor('all keepers to take pieces', async () => {
    const { keepers } = await client.status();
    return keepers.every(({ state, reported }) => state === 'live' && reported);
  });
  await storeFiles(client, ledger, { count: 4, chunks: 4, seed: 11 });
  keeper = cluster.keepers[0]!;
  // What a scrub writes down must be there to be changed.
  await client.waitForJob(await client.scrub([keeper.keeperId]));
  expect((await stat(join(keeper.dataDir, 'SCRUB'))).size).toBeGreaterThan(0);
});
afterAll(() => cluster.stop());

async function namesOfChunks(): Promise<string[]> {
  return readdir(join(keeper.dataDir, 'chunks'), { recursive: true }).catch(() => []);
}

/** Stops the keeper, does something to a name of its directory, starts it, and puts things right again. */
async function startWith(
  name: string,
  damage: (path: string) => Promise<void>,
): Promise<HoldfastError | 'started'> {
  await keeper.stop();
  const path = join(keeper.dataDir, name);
  const aside = join(cluster.dataDir, 'aside');
  await cp(path, aside, { recursive: true, verbatimSymlinks: true }).catch(() => undefined);
  const before = await namesOfChunks();
  await damage(path);
  try {
    const outcome = await within(startMs, `a start with ${name}`, keeper.start()).then(
      () => 'started' as const,
      (error: unknown) => {
        if (HoldfastError.is(error)) return error;
        throw error;
      },
    );
    // Whatever is good is where it was.
    const after = new Set(await namesOfChunks());
    if (!name.startsWith('chunks')) expect(before.filter((each) => !after.has(each))).toEqual([]);
    if (outcome === 'started') for (const each of ledger.paths) await ledger.check(client, each);
    return outcome;
  } finally {
    await releasePipe(path);
    if (!keeper.running) {
      await rm(path, { recursive: true, force: true });
      await cp(aside, path, { recursive: true }).catch(() => undefined);
    }
    await rm(aside, { recursive: true, force: true });
    await keeper.start();
  }
}

/** Started, or refused in words that help. */
function expectHonest(outcome: HoldfastError | 'started'): void {
  if (outcome === 'started') return;
  const { code, message, remedy } = outcome;
  expect({ code, message, remedy }).toMatchObject({
    code: expect.stringMatching(/^(DATA_DIR_INVALID|DATA_DIR_LOCKED|DISK_FAILED)$/),
    remedy: expect.stringMatching(/./),
  });
}

const seed = seeds().at(-1)!;

describe.each(['IDENTITY', 'STATE', 'LOCK', 'SCRUB'])('%s that is', (name) => {
  it.each([...changes, ...replacements].map((damage) => [damage.name, damage] as const))(
    `%s does no harm (HOLDFAST_FUZZ_SEED=${seed})`,
    async (_what, damage) => {
      const outcome = await startWith(name, (path) => damage.put(path, new Choices(seed)));
      expectHonest(outcome);
      // Without it a round of the scrub begins anew, and that is all.
      if (name === 'SCRUB') expect(outcome).toBe('started');
    },
    600_000,
  );
});

it.each(replacements.map((damage) => [damage.name, damage] as const))(
  '%s, wherever it does not belong, is in nobody’s way',
  async (_what, damage) => {
    const places = [
      'SCRUB',
      'RESERVE',
      'stranger',
      'tmp/x',
      'trash/x',
      'quarantine/x',
      'chunks/x',
      'chunks/00/x',
    ];
    const paths = places.map((name) => join(keeper.dataDir, name));
    await keeper.stop();
    for (const path of paths) await damage.put(path, new Choices(seed));
    try {
      await within(startMs, 'the start', keeper.start());
      for (const each of ledger.paths) await ledger.check(client, each);
    } finally {
      for (const path of paths) {
        await releasePipe(path);
        await rm(path, { recursive: true, force: true });
      }
    }
  },
  600_000,
);

it.each(['tmp', 'chunks', 'chunks/7f'])(
  'something else in the place of the directory %s is told',
  async (folder) => {
    for (const damage of replacements.slice(3)) {
      expectHonest(await startWith(folder, (path) => damage.put(path, new Choices(seed))));
    }
  },
  600_000,
);

it('pieces that are something else are made anew, and nothing hangs for them', async () => {
  await keeper.stop();
  const pieces = await storedPieces(keeper.dataDir);
  const odd = [...replacements, ...changes];
  expect(pieces.length).toBeGreaterThan(odd.length);
  const spoilt: PieceFile[] = [];
  for (const [index, damage] of odd.entries()) {
    const piece = pieces[index]!;
    await damage.put(piece.path, new Choices(index));
    spoilt.push(piece);
  }
  // One that is another one by a link.
  const last = pieces.at(-1)!;
  await rm(last.path);
  await symlink(pieces.at(-2)!.path, last.path);
  try {
    await within(startMs, 'the start', keeper.start());
    await within(
      180_000,
      'a look at all pieces',
      client.scrub([keeper.keeperId]).then((id) => client.waitForJob(id)),
    );
    // What a person has to look at is a directory, or a link that leads somewhere; it is set aside, not deleted.
    expect((await readdir(join(keeper.dataDir, 'quarantine'))).length).toBeGreaterThan(0);
    await expectHealed(cluster, ledger);
  } finally {
    for (const { path } of spoilt) await releasePipe(path);
  }
});
