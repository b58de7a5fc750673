/**
 * Pieces whose bytes are not what they were: never given out, set aside by their keeper, replaced from a good copy.
 * What is wrong with the shape of a file (header, footer, table, length) the report after a start finds; a flipped
 * bit of data only whoever reads it: a client today.
 */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster } from '@holdfast/local-cluster';
import { partsOf } from '@holdfast/simulation';
import { appendFile, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { type PieceFile, lookAtDisk, storedPieces } from '../../support/keeper-disk.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import { quickCluster, readFirstFrom, storeFiles } from '../../support/quick-cluster.js';
import { waitFor } from '../../support/wait.js';

let cluster: Cluster;
let client: HoldfastClient;
let ledger: Ledger;

beforeEach(async () => {
  ledger = new Ledger();
  // Nobody is to be dead here: the pieces that are damaged must be those that are read.
  cluster = await quickCluster(4, { trackerSettings: { deadAfterMs: 60_000 } });
  client = await cluster.connect();
  await storeFiles(client, ledger, { count: 3, chunks: 8, seed: 400 });
  // What was written in vain on a busy machine is given up before the pieces are looked for.
  await expectHealed(cluster, ledger, { read: false, check: false, stop: false });
});

afterEach(() => cluster.stop());

type Damage = (piece: PieceFile) => Promise<void>;

/** Flips the lowest bit of one byte. */
function flipAt(positionIn: (file: Buffer) => number): Damage {
  return async ({ path }) => {
    const file = await readFile(path);
    const position = positionIn(file);
    file[position] = file[position]! ^ 1;
    await writeFile(path, file);
  };
}

const shapeDamages: Readonly<Record<string, Damage>> = {
  'a bit of the header': flipAt(() => 50),
  'a bit of the padding of the header': flipAt(() => 2_000),
  'a bit of the checksums': flipAt((file) => partsOf(file).table),
  'a bit of the footer': flipAt((file) => partsOf(file).footer + 33),
  'the last byte cut off': async ({ path }) => truncate(path, (await readFile(path)).length - 1),
  'half of it cut off': async ({ path }) => truncate(path, Math.floor((await readFile(path)).length / 2)),
  'all of it cut off': ({ path }) => truncate(path, 0),
  'a byte more': ({ path }) => appendFile(path, 'x'),
  'nothing but zeros': async ({ path }) => writeFile(path, Buffer.alloc((await readFile(path)).length)),
};
const dataDamages: Readonly<Record<string, Damage>> = {
  'the first bit of the data': flipAt((file) => partsOf(file).data),
  'the last bit of the data': flipAt((file) => partsOf(file).table - 1),
};

/** Damages every piece of a keeper, each in the next way; two of them change places. */
async function damageAll(pieces: readonly PieceFile[], ways: readonly Damage[]): Promise<void> {
  const [first, second, ...others] = pieces;
  await rename(first!.path, `${first!.path}.away`);
  await rename(second!.path, first!.path);
  await rename(`${first!.path}.away`, second!.path);
  for (const [index, piece] of others.entries()) await ways[index % ways.length]!(piece);
}

/** The keeper with the most pieces: one that seemed to be away while the files were stored has few. */
async function fullestKeeper(): Promise<{ keeper: Cluster['keepers'][number]; pieces: PieceFile[] }> {
  const all = await Promise.all(
    cluster.keepers.map(async (keeper) => ({ keeper, pieces: await storedPieces(keeper.dataDir) })),
  );
  return all.reduce((fullest, other) => (other.pieces.length > fullest.pieces.length ? other : fullest));
}

/** The damaged are set aside; none is where it could be read. */
async function quarantined(dataDir: string): Promise<Set<string>> {
  const { files } = await lookAtDisk(dataDir);
  return new Set(files.filter(({ place }) => place === 'quarantine').map(({ chunkId }) => chunkId));
}

it('reads find damage of every kind, and are answered with the right bytes', async () => {
  const { keeper, pieces } = await fullestKeeper();
  const ways = [...Object.values(shapeDamages), ...Object.values(dataDamages)];
  expect(pieces.length).toBeGreaterThan(ways.length + 2);
  await damageAll(pieces, ways);
  await waitFor('every damaged piece to be set aside', async () => {
    await readFirstFrom(cluster, keeper, ledger);
    return (await quarantined(keeper.dataDir)).size === pieces.length;
  });
  await expectHealed(cluster, ledger);
});

it('the report after a start finds every damage but that of the data', async () => {
  const { keeper, pieces } = await fullestKeeper();
  const ways = Object.values(shapeDamages);
  expect(pieces.length).toBeGreaterThan(ways.length + 2);
  await keeper.kill();
  await damageAll(pieces, ways);
  await keeper.start();
  // Needs no read; scrub will find flipped bits of the data likewise.
  await expectHealed(cluster, ledger, { read: false });
});

it('a file all of whose copies are damaged is refused, its pieces are kept, and a good one that returns mends it', async () => {
  const { keeper, pieces } = await fullestKeeper();
  const others = cluster.keepers.filter((other) => other !== keeper);
  const goodCopies = await Promise.all(
    pieces.map(async ({ chunkId, path }) => ({
      chunkId,
      path,
      file: await readFile(path),
    })),
  );
  const { chunkId } = goodCopies[0]!;
  const flip = dataDamages['the first bit of the data']!;
  const copies: PieceFile[] = [];
  for (const { dataDir } of [keeper, ...others]) {
    copies.push(...(await storedPieces(dataDir)).filter((piece) => piece.chunkId === chunkId));
  }
  expect(copies).toHaveLength(3);
  for (const copy of copies) await flip(copy);
  // A reader waits a while for a copy to come back before it gives up.
  await expect(ledger.checkAll(client)).rejects.toMatchObject({
    code: expect.stringMatching(/DATA_LOSS|UNAVAILABLE/),
  });
  await waitFor('the status to say it', async () => (await client.status()).chunksUnreadable === 1);
  const kept = await Promise.all(cluster.keepers.map(({ dataDir }) => quarantined(dataDir)));
  expect(kept.filter((chunks) => chunks.has(chunkId))).toHaveLength(3);
  // Somebody finds the one good copy that there is, and puts it back.
  await keeper.kill();
  const good = goodCopies.find((copy) => copy.chunkId === chunkId)!;
  await writeFile(good.path, good.file);
  await keeper.start();
  await expectHealed(cluster, ledger);
});
