/**
 * The judge of every healing scenario: whatever was done to the cluster, in the end all is as if nothing had
 * happened. It asks as a user does, and then stops the cluster and compares the tracker's tables with the keepers'
 * disks, so that no part of the product vouches for itself.
 */
import type { HoldfastClient } from '@holdfast/client';
import type { Cluster, Member } from '@holdfast/local-cluster';
import { expectNoFilesHeld } from './footprint.js';
import { type KeeperDisk, damageOfPiece, lookAtDisk } from './keeper-disk.js';
import type { Ledger } from './ledger.js';
import { type Row, queryTables } from './tracker-tables.js';
import { waitFor } from './wait.js';

/** Longer than any repair of these scenarios takes on a machine that is busy with other things. */
const healingLimitMs = 180_000;

/**
 * Waits until the cluster says that it is whole, reads every file, has the cluster check itself, stops it, and looks for
 * itself:
 *
 * - every file is byte-identical to what was acknowledged, wholly old or wholly new where no answer came, and
 *   nothing else is there;
 * - the keepers that do not run are dead to the tracker, the others live and reported, and no chunk is below policy;
 * - every extent lies in a live chunk, every live chunk has as many counted pieces as its policy asks for, and
 *   nothing is left of uploads, retired versions or the repair queue;
 * - every piece that counts is on its keeper's disk, whole to its last byte, with the chunk's digest;
 * - no process holds a piece open, nor a file that is gone;
 * - every file on a disk is in exactly one of pieces, trash, quarantine and tmp, and nothing else is there; a stored
 *   piece is one that counts, and tmp is empty.
 *
 * The tracker needs a short reclaim grace. Leaves the cluster stopped, unless `stop` is false: it then is to look so while
 * it runs. With `read` false no file is read: reads find damage and have it mended. With `check` false the product is not
 * asked to check itself: that finds damage, too.
 *
 * @throws Error that lists everything that is not as it should be
 */
export async function expectHealed(
  cluster: Cluster,
  ledger: Ledger,
  { read = true, check = true, stop = true } = {},
): Promise<void> {
  const client = await cluster.connect();
  const running = cluster.keepers.filter((keeper) => keeper.running);
  await waitFor('the cluster to be whole', () => assertWhole(client, running), healingLimitMs);
  await waitFor('what was given up to be gone', () => assertReclaimed(cluster, running), healingLimitMs);
  if (read) await ledger.settle(client);
  // Reading may have found what nobody had seen.
  await waitFor('the cluster to be whole still', () => assertWhole(client, running), healingLimitMs);
  if (check) await assertChecked(client);
  await expectNoFilesHeld(running);
  const matching = (): Promise<boolean> => assertTablesMatchDisks(cluster, running);
  if (stop) await cluster.stopAll().then(matching);
  else {
    client.close();
    // Small files are replaced now and then, by way of temporary ones.
    await waitFor('the tables to match the disks', matching);
  }
}

/**
 * Waits until the product's own check finds nothing. For clusters with the usual times: what is given up stays on their disks
 * for longer than a test, so that nobody else can compare those with the tables.
 */
export async function expectChecked(cluster: Cluster): Promise<void> {
  const client = await cluster.connect();
  await waitFor('the check to find nothing', () => assertChecked(client).then(() => true), healingLimitMs);
  client.close();
}

/** What the product says of itself. */
async function assertChecked(client: HoldfastClient): Promise<void> {
  const { state, findings, findingsTotal } = await client.check();
  if (state === 'done' && findingsTotal === 0) return;
  throw new Error(`the product's own check (${state}) finds ${JSON.stringify(findings)}`);
}

async function assertWhole(client: HoldfastClient, running: readonly Member[]): Promise<boolean> {
  const status = await client.status();
  const ids = new Set(running.map(({ keeperId }) => keeperId));
  const problems = [
    ...status.keepers.flatMap(({ keeperId, state, reported, storageError }) => {
      const isFine = ids.has(keeperId)
        ? state === 'live' && reported && storageError === ''
        : state === 'dead';
      return isFine ? [] : [`keeper ${keeperId} is ${state}, reported: ${reported}, ${storageError}`];
    }),
    ...(status.metadataRegressed ? ['the metadata regressed'] : []),
    ...(status.chunksBelowPolicy > 0 ? [`${status.chunksBelowPolicy} chunks below policy`] : []),
    ...(status.chunksUnreadable > 0 ? [`${status.chunksUnreadable} chunks unreadable`] : []),
    ...(status.repairsInFlight > 0 ? [`${status.repairsInFlight} copies being made`] : []),
    ...(status.openUploads > 0 ? [`${status.openUploads} open uploads`] : []),
  ];
  if (problems.length > 0) throw new Error(problems.join('; '));
  return true;
}

/** Nothing is left to be reclaimed from the keepers that are there. */
function assertReclaimed(cluster: Cluster, running: readonly Member[]): boolean {
  const ids = running.map(({ keeperId }) => `'${keeperId}'`).join(',');
  const leftovers = queryTables(
    cluster,
    `SELECT 'retired versions' AS what, count(*) AS n FROM versions WHERE retired_transaction_id IS NOT NULL
     UNION ALL SELECT 'entries to take apart', count(*) FROM entries WHERE parent_id = 0 AND entry_id <> 1
     UNION ALL SELECT 'tombstones', count(*) FROM pieces WHERE state = 'garbage' AND keeper_id IN (${ids})
     UNION ALL SELECT 'queued chunks', count(*) FROM repair_queue`,
  ).filter(({ n }) => n !== 0);
  if (leftovers.length > 0) throw new Error(JSON.stringify(leftovers));
  return true;
}

async function assertTablesMatchDisks(cluster: Cluster, running: readonly Member[]): Promise<boolean> {
  const problems = queryTables(
    cluster,
    `SELECT 'an extent of no live chunk' AS what, extents.chunk_id FROM extents
       LEFT JOIN chunks ON chunks.chunk_id = extents.chunk_id WHERE chunks.state IS NOT 'live'
     UNION ALL SELECT 'a live chunk without extents', chunk_id FROM chunks
       WHERE state = 'live' AND chunk_id NOT IN (SELECT chunk_id FROM extents)
     UNION ALL SELECT 'a chunk below policy', chunks.chunk_id FROM chunks
       LEFT JOIN pieces ON pieces.chunk_id = chunks.chunk_id AND pieces.state = 'durable'
       LEFT JOIN keepers ON keepers.keeper_id = pieces.keeper_id AND keepers.dead = 0
       WHERE chunks.state = 'live' GROUP BY chunks.chunk_id HAVING count(keepers.keeper_id) < max(chunks.pieces)`,
  ).map(({ what, chunk_id: chunkId }) => `${what}: ${chunkId}`);
  const digests = new Map(
    queryTables(cluster, `SELECT chunk_id, digest FROM chunks WHERE state = 'live'`).map((row) => [
      String(row['chunk_id']),
      row['digest'],
    ]),
  );
  for (const keeper of running) {
    const counted = queryTables(
      cluster,
      `SELECT chunk_id FROM pieces WHERE state = 'durable' AND keeper_id = '${keeper.keeperId}'`,
    ).map((row) => String(row['chunk_id']));
    const disk = await lookAtDisk(keeper.dataDir);
    for (const problem of await compare(disk, new Set(counted), digests))
      problems.push(`${keeper.name}: ${problem}`);
  }
  if (problems.length > 0) throw new Error(`the cluster is not whole:\n${problems.join('\n')}`);
  return true;
}

/** What is wrong between one disk and the pieces that the tracker counts on it. */
async function compare(
  disk: KeeperDisk,
  counted: ReadonlySet<string>,
  digests: ReadonlyMap<string, Row[string] | undefined>,
): Promise<string[]> {
  const problems = disk.strangers.map((path) => `what is ${path}?`);
  const stored = disk.files.filter(({ place }) => place === 'chunks');
  const present = new Set(stored.map(({ chunkId }) => chunkId));
  for (const chunkId of counted) {
    if (!digests.has(chunkId)) problems.push(`piece ${chunkId} counts and its chunk is not live`);
    if (!present.has(chunkId)) problems.push(`piece ${chunkId} counts and is not on the disk`);
  }
  for (const piece of stored) {
    if (!counted.has(piece.chunkId)) {
      problems.push(`piece ${piece.chunkId} is stored and does not count`);
      continue;
    }
    const damage = await damageOfPiece(piece, String(digests.get(piece.chunkId))).catch((error: unknown) =>
      String(error),
    );
    if (damage !== undefined) problems.push(`piece ${piece.chunkId}: ${damage}`);
  }
  for (const { place, path } of disk.files) if (place === 'tmp') problems.push(`${path} is left over`);
  return problems;
}
