/** A keeper dies, and the cluster says so: what would be lost before, what happened, what is missing, what was done. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { run } from '../support/command.js';
import { seededBytes } from '../support/files.js';
import { waitForCopies } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

const chunk = 64 * 1024;
let cluster: Cluster;

beforeEach(async () => {
  cluster = await startCluster({
    keepers: 3,
    trackerSettings: {
      heartbeatIntervalMs: 100,
      suspectAfterMs: 1_500,
      deadAfterMs: 4_000,
      repairTickMs: 100,
    },
  });
});

afterEach(() => cluster.stop());

it('a loss and its repair can be foreseen, followed and read afterwards', async () => {
  const client = await cluster.connect();
  await client.upload(seededBytes(21, 5 * chunk), '/three', { chunkSizeBytes: chunk });
  await client.upload(seededBytes(22, chunk), '/one', { chunkSizeBytes: chunk, replicas: 1, minWrite: 1 });
  await waitForCopies(client, '/three', 3);
  const explained = async (path: string) => {
    const chunks = [];
    for await (const each of client.explain(path)) chunks.push(each);
    return chunks;
  };
  const kinds = async () => {
    const found = [];
    for await (const { kind, subject } of client.events()) found.push({ kind, subject });
    return found;
  };
  await waitFor('every keeper to have reported', async () =>
    /^healthy/.test((await client.status()).summary),
  );
  // A commit is counted a moment later.
  const pieceCounts = await waitFor('all chunks to be counted', async () => {
    const { chunks, pieceCounts: counts } = await client.status();
    return chunks === 6 ? counts : undefined;
  });
  expect(pieceCounts).toEqual([
    { policyPieces: 1, countedPieces: 1, chunks: 1 },
    { policyPieces: 3, countedPieces: 3, chunks: 5 },
  ]);
  const [only] = await explained('/one');
  expect(only).toMatchObject({ countedPieces: 1, pieces: [{ placedBecause: 'written by the upload' }] });
  const endpoint = only!.pieces[0]!.keeper;
  const victim = cluster.keepers.find(({ keeperId }) => keeperId === endpoint.keeperId)!;

  // Before: what-if warns, by its status too.
  const asked = await run('client', ['what-if', victim.address, '--tracker', cluster.trackerAddress]);
  expect(asked.stdout.toString()).toMatch(
    /DATA WOULD BE LOST without this keeper: 1 file .*\n[^]*\n {2}\/one\n$/,
  );
  expect(asked.status).toBe(7);
  const spare = cluster.keepers.find((keeper) => keeper !== victim)!;
  expect((await client.previewKeeperLoss([spare.keeperId.slice(0, 12)])).lostChunks).toBe(0);

  // During: who, why, and what it waits for.
  await victim.kill();
  await waitFor('the loss to be told', async () =>
    (await client.status()).repair.blocked.some(({ reason }) => reason === 'no target with room'),
  );
  const status = await client.status();
  expect(status.summary).toMatch(/^critical: 2 keepers live, 1 dead, 1 of 6 chunks/);
  expect(status.repair.text).toMatch(
    new RegExp(`keeper ${victim.keeperId.slice(0, 8)} at ${victim.address} is gone`),
  );
  expect(status.pieceCounts).toEqual([
    { policyPieces: 1, countedPieces: 0, chunks: 1 },
    { policyPieces: 3, countedPieces: 2, chunks: 5 },
  ]);
  expect((await explained('/one'))[0]!.text).toMatch(/^Cannot be read now, 0 of 1 copy: .* is gone\./);
  for (const { text, pieces } of await explained('/three')) {
    expect(text).toMatch(/^2 of 3 copies: .* is gone\. It waits, no target with room/);
    expect(pieces.filter(({ counted }) => counted)).toHaveLength(2);
    expect(pieces.find(({ keeper }) => keeper.keeperId === victim.keeperId)).toMatchObject({
      keeperState: 'dead',
    });
  }

  // After: a new keeper takes the copies, the old one brings the rest back.
  const added = await cluster.addKeeper();
  await waitFor('the third copies', async () => (await client.stat('/three')).durability?.fewest === 3);
  for (const { pieces } of await explained('/three')) {
    expect(pieces.find(({ keeper }) => keeper.keeperId === added.keeperId)).toMatchObject({
      counted: true,
      placedBecause: `copied because keeper ${victim.keeperId.slice(0, 8)} at ${victim.address} is gone`,
    });
  }
  await victim.start();
  await waitFor('the end of repair', async () =>
    (await kinds()).some(({ kind }) => kind === 'repair-finished'),
  );
  // On a busy machine other keepers may be late for a moment, too, and the victim before it dies.
  const story = (await kinds())
    .filter(
      ({ kind, subject }) =>
        ['', victim.keeperId].includes(subject) && !['tracker-started', 'keeper-joined'].includes(kind),
    )
    .reduce<Awaited<ReturnType<typeof kinds>>>(
      (told, event) =>
        event.kind === 'keeper-live' && told.at(-1)?.kind === 'keeper-suspect'
          ? told.slice(0, -1)
          : [...told, event],
      [],
    );
  expect(story).toEqual([
    { kind: 'keeper-suspect', subject: victim.keeperId },
    { kind: 'keeper-dead', subject: victim.keeperId },
    { kind: 'chunk-lost', subject: victim.keeperId },
    { kind: 'repair-started', subject: '' },
    { kind: 'chunk-found', subject: victim.keeperId },
    { kind: 'keeper-live', subject: victim.keeperId },
    { kind: 'repair-finished', subject: '' },
  ]);
  const log = await run('client', ['events', '--limit', '1', '--tracker', cluster.trackerAddress]);
  expect(log.stdout.toString()).toMatch(/ repair-finished .*: 5 copies, 320\.0 KiB, in \d/);
  const shown = await run('client', ['status', '--tracker', cluster.trackerAddress]);
  expect(shown.stdout.toString()).toMatch(
    /\n {2}CHUNKS THAT {2}HAVE 1 {2}HAVE 3\n {2}want 3 +0 +5\n {2}want 1 +1 +0\n/,
  );
});
