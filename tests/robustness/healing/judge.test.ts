/** The judge itself: a cluster that nothing happened to passes, and what reads do not show does not get past it. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Cluster } from '@holdfast/local-cluster';
import { partsOf } from '@holdfast/simulation';
import { open, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { lookAtDisk, storedPieces } from '../../support/keeper-disk.js';
import { Ledger } from '../../support/ledger.js';
import { expectHealed } from '../../support/oracle.js';
import { quickCluster, storeFiles } from '../../support/quick-cluster.js';

let cluster: Cluster;
let ledger: Ledger;

beforeEach(async () => {
  ledger = new Ledger();
  cluster = await quickCluster(3);
  await storeFiles(await cluster.connect(), ledger, { count: 2, chunks: 4, seed: 300 });
});

afterEach(() => cluster.stop());

it('finds nothing where nothing happened', async () => {
  await expectHealed(cluster, ledger);
});

it('finds a flipped bit that no read has met, and a file that nobody knows', async () => {
  const [piece] = await storedPieces(cluster.keepers[0]!.dataDir);
  const file = await open(piece!.path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(4_096), 0, 4_096, 0);
  const position = partsOf(buffer).table - 1;
  const { buffer: byte } = await file.read(Buffer.alloc(1), 0, 1, position);
  await file.write(Buffer.of(byte[0]! ^ 1), 0, 1, position);
  await file.close();
  await writeFile(join(cluster.keepers[1]!.dataDir, 'chunks', '00', 'note.txt'), 'hello');
  // No read: one that met the bit would have it mended.
  await expect(expectHealed(cluster, new Ledger())).rejects.toThrow('nobody stored it');
  await cluster.startAll();
  await expect(expectHealed(cluster, ledger, { read: false, check: false })).rejects.toThrow(
    /keeper-1: piece .*block \d+ is damaged[^]*keeper-2: what is .*note\.txt\?/,
  );
});

it('knows what a keeper has set aside, however often', async () => {
  const { dataDir } = cluster.keepers[0]!;
  const [piece] = await storedPieces(dataDir);
  const setAside = ['', '.1', '.12'].map((number) => `${piece!.chunkId}.0${number}`);
  for (const name of [...setAside, `${piece!.chunkId}.0.x`]) {
    await writeFile(join(dataDir, 'quarantine', name), 'damaged');
  }
  const { files, strangers } = await lookAtDisk(dataDir);
  expect(files.filter(({ place }) => place === 'quarantine')).toHaveLength(setAside.length);
  expect(strangers).toEqual([join(dataDir, 'quarantine', `${piece!.chunkId}.0.x`)]);
});

it('finds a piece that counts and is gone', async () => {
  const [piece] = await storedPieces(cluster.keepers[2]!.dataDir);
  await unlink(piece!.path);
  await expect(expectHealed(cluster, ledger, { read: false, check: false })).rejects.toThrow(
    `keeper-3: piece ${piece!.chunkId} counts and is not on the disk`,
  );
});
