/** The tracker's tasks, carried out by real keepers. */
import { afterEach, describe, expect, it } from '@jest/globals';
import type { CompleteTaskRequestOutput, KeeperTask } from '@holdfast/proto';
import { HoldfastError, newId, receiptIsValid } from '@holdfast/shared';
import { readReceipt } from '@holdfast/shared/grpc';
import { systemRandom } from '@holdfast/shared/node';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AheadClock } from './support/ahead-clock.js';
import { TestCluster, bytesOf, digestOf, patientSettings, until } from './support/fixtures.js';
import { frozenPeer } from './support/frozen-peer.js';

let cluster: TestCluster;
afterEach(() => cluster.end());

const data = bytesOf(300_000);

async function write(index = 0): Promise<string> {
  const header = cluster.header(data.length);
  await cluster.client(index).write(header, data);
  return header.chunkId;
}

/** No heartbeat comes by its interval, which keepers shorten to a part of their lease. */
const longIntervalMs = 600_000;
const longLeaseMs = 10 * longIntervalMs;

/** Gives a task and waits for its answer. The fake tracker gives it to whoever beats first: one live keeper. */
async function carryOut(action: Omit<KeeperTask, 'taskId'>): Promise<CompleteTaskRequestOutput> {
  const taskId = newId(systemRandom);
  cluster.tracker.tasks.set(taskId, { taskId, ...action });
  const answer = (): CompleteTaskRequestOutput | undefined =>
    cluster.tracker.completed.find((completed) => completed.taskId === taskId);
  await until(() => answer() !== undefined);
  return answer() as CompleteTaskRequestOutput;
}

async function damage(chunkId: string, index = 0, position = 4096 + 70_000): Promise<void> {
  const file = await open(cluster.pathOf(index, chunkId), 'r+');
  await file.write(Buffer.from([1, 2, 3]), 0, 3, position);
  await file.close();
}

function fetchTask(
  chunkId: string,
  sources: readonly number[],
  digest = digestOf(data),
): Omit<KeeperTask, 'taskId'> {
  return {
    fetchPiece: {
      chunkId,
      pieceIndex: 0,
      length: data.length,
      digest,
      blockSizeBytes: 65_536,
      sources: sources.map((index) => ({ ...cluster.endpoint(index) })),
      readToken: cluster.tracker.readToken(chunkId),
    },
  };
}

describe('a fetch', () => {
  it('tries the sources in order and answers with a receipt; again, at once', async () => {
    cluster = await TestCluster.start(4);
    const chunkId = await write(0);
    await cluster.client(1).write(cluster.header(data.length, [], { chunkId }), data);
    await damage(chunkId, 1);
    // 1 is damaged, 2 has nothing, 0 is good; 3 fetches.
    const target = cluster.keeper(3);
    const only = cluster.tracker;
    const taskId = newId(systemRandom);
    only.taskFor = (keeperId) => keeperId === target.keeperId;
    only.tasks.set(taskId, { taskId, ...fetchTask(chunkId, [1, 2, 0]) });
    await until(() => only.completed.length === 1);
    const [answer] = only.completed;
    expect(answer).toMatchObject({ taskId, keeperId: target.keeperId, error: null });
    const receipt = readReceipt(answer?.receipt as never);
    expect(receiptIsValid(receipt, only.receiptKey)).toBe(true);
    expect(receipt.digest.equals(digestOf(data))).toBe(true);
    expect((await cluster.client(3).read(cluster.readRequest(chunkId))).data.equals(data)).toBe(true);
    const again = await carryOut(fetchTask(chunkId, []));
    expect(again.receipt).toMatchObject({ digest: digestOf(data) });
  });

  it('believes the tracker and not the source about the bytes', async () => {
    cluster = await TestCluster.start(2);
    const chunkId = await write(0);
    cluster.tracker.taskFor = (keeperId) => keeperId === cluster.keeper(1).keeperId;
    const answer = await carryOut(fetchTask(chunkId, [0], digestOf(bytesOf(300_000, 2))));
    expect(answer).toMatchObject({ receipt: null, error: { code: 'ERROR_CODE_CHECKSUM_MISMATCH' } });
    expect(await cluster.temporary(1)).toEqual([]);
  });

  it('gives up a source that never speaks, and goes on with the next', async () => {
    const clock = new AheadClock();
    cluster = await TestCluster.start(2, { clock });
    const frozen = await frozenPeer();
    const chunkId = await write(0);
    cluster.tracker.taskFor = (keeperId) => keeperId === cluster.keeper(1).keeperId;
    const task = fetchTask(chunkId, [0]);
    const silent = { keeperId: 'f'.repeat(32), address: frozen.address, zone: '' };
    const answering = carryOut({
      fetchPiece: { ...task.fetchPiece, sources: [silent, ...(task.fetchPiece?.sources ?? [])] },
    });
    await until(() => frozen.isAsked());
    clock.setAhead(patientSettings.sourceStallMs);
    const answer = await answering;
    frozen.end();
    expect(answer.error).toBeNull();
    expect(answer.receipt).toMatchObject({ digest: digestOf(data) });
  });

  it.each([
    ['in its data', 4096 + 70_000],
    ['in its header', 30],
  ])('of a piece that is here damaged %s sets that aside and fetches', async (_where, position) => {
    cluster = await TestCluster.start(2);
    const chunkId = await write(0);
    await cluster.client(1).write(cluster.header(data.length, [], { chunkId }), data);
    await damage(chunkId, 1, position);
    cluster.tracker.taskFor = (keeperId) => keeperId === cluster.keeper(1).keeperId;
    const answer = await carryOut(fetchTask(chunkId, [0]));
    expect(answer.error).toBeNull();
    expect((await cluster.client(1).read(cluster.readRequest(chunkId))).data.equals(data)).toBe(true);
    expect(await readdir(join(cluster.keeper(1).dataDir, 'quarantine'))).toEqual([`${chunkId}.0`]);
  });

  it('from nowhere fails', async () => {
    cluster = await TestCluster.start(1);
    const answer = await carryOut(fetchTask(newId(systemRandom), []));
    expect(answer.error?.code).toBe('ERROR_CODE_INVALID_ARGUMENT');
  });
});

describe('a trash order', () => {
  it('moves pieces away, answers for those that never were, and is harmless again', async () => {
    const clock = new AheadClock();
    const trashTtlMs = 600_000;
    cluster = await TestCluster.start(1, { clock, settings: { trashIntervalMs: 10, trashTtlMs } });
    const [chunkId, unknown] = [await write(), newId(systemRandom)];
    for (let round = 0; round < 2; round += 1) {
      const answer = await carryOut({ trashPieces: { chunkIds: [chunkId, unknown], transactionId: 8 } });
      expect(answer).toMatchObject({ error: null, trashedChunkIds: [chunkId, unknown] });
    }
    await expect(cluster.client().read(cluster.readRequest(chunkId))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await until(() =>
      cluster.tracker.heartbeats.some(({ capacity }) => Number(capacity?.trashBytes) > data.length),
    );
    const trash = join(cluster.keeper().dataDir, 'trash');
    expect(await readdir(trash)).toHaveLength(1);
    clock.setAhead(trashTtlMs);
    await until(async () => (await readdir(trash)).length === 0);
    await until(() => cluster.tracker.heartbeats.at(-1)?.capacity?.usedBytes === 0);
  });
});

describe('a verification', () => {
  const verify = (chunkId: string, digest = digestOf(data)): Omit<KeeperTask, 'taskId'> => ({
    verifyPiece: { chunkId, pieceIndex: 0, digest },
  });

  it('of a good piece succeeds, of a missing one says so', async () => {
    cluster = await TestCluster.start(1);
    const chunkId = await write();
    expect((await carryOut(verify(chunkId))).error).toBeNull();
    expect((await carryOut(verify(newId(systemRandom)))).error?.code).toBe('ERROR_CODE_NOT_FOUND');
  });

  it.each(['is damaged', 'is not the one expected'])('sets a piece that %s aside', async (what) => {
    cluster = await TestCluster.start(1);
    const chunkId = await write();
    if (what === 'is damaged') await damage(chunkId);
    const expected = what === 'is damaged' ? digestOf(data) : Buffer.alloc(32);
    const answer = await carryOut(verify(chunkId, expected));
    expect(answer.error?.code).toBe('ERROR_CODE_CHECKSUM_MISMATCH');
    expect(await readdir(join(cluster.keeper().dataDir, 'quarantine'))).toEqual([`${chunkId}.0`]);
    await expect(cluster.client().read(cluster.readRequest(chunkId))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });
});

it('a task that makes no sense is answered, and costs neither the others nor the lease', async () => {
  cluster = await TestCluster.start(1);
  const chunkId = await write();
  expect((await carryOut({})).error?.code).toBe('ERROR_CODE_UNIMPLEMENTED');
  const nonsense = await carryOut({ trashPieces: { chunkIds: ['../IDENTITY'] } });
  expect(nonsense.error?.code).toBe('ERROR_CODE_INVALID_ARGUMENT');
  expect((await carryOut({ trashPieces: { chunkIds: [chunkId] } })).error).toBeNull();
});

it('a task whose id makes no sense, so that nobody can answer it, is left out', async () => {
  cluster = await TestCluster.start(1);
  const { tracker } = cluster;
  const chunkId = await write();
  for (const taskId of ['', 'two words', 'x'.repeat(65), 'a\nb']) {
    tracker.tasks.set(taskId, { taskId, trashPieces: { chunkIds: [chunkId] } });
  }
  expect((await carryOut({ trashPieces: { chunkIds: [newId(systemRandom)] } })).error).toBeNull();
  expect(tracker.completed).toHaveLength(1);
  expect((await stat(cluster.pathOf(0, chunkId))).isFile()).toBe(true);
});

it('more tasks than there are slots for are asked for as slots become free, not a heartbeat interval later', async () => {
  cluster = await TestCluster.start(0);
  const { tracker } = cluster;
  tracker.heartbeatIntervalMs = longIntervalMs;
  tracker.leaseMs = longLeaseMs;
  for (let n = 0; n < 12; n += 1) {
    const taskId = newId(systemRandom);
    tracker.tasks.set(taskId, { taskId, trashPieces: { chunkIds: [newId(systemRandom)] } });
  }
  const taskSlots = 4;
  // Those that run together end together, and not as far apart as a slow machine makes it.
  const ended: (() => void)[] = [];
  tracker.beforeTaskAnswer = () =>
    new Promise((resolve) => {
      ended.push(resolve);
      if (ended.length === taskSlots) for (const end of ended.splice(0)) end();
    });
  await cluster.add({ settings: { taskSlots } });
  await until(() => tracker.completed.length >= 12);
  // They share heartbeats: nobody asks once for each. Three, or more should the answers to some come apart all the same.
  expect(tracker.heartbeats.length).toBeLessThanOrEqual(6);
});

it('more copies are taken than run: the next ones are there when these end', async () => {
  cluster = await TestCluster.start(1);
  const { tracker } = cluster;
  const source = cluster.keeper(0).keeperId;
  tracker.taskFor = (keeperId) => keeperId !== source;
  tracker.heartbeatIntervalMs = longIntervalMs;
  tracker.leaseMs = longLeaseMs;
  const chunkIds = await Promise.all(Array.from({ length: 30 }, () => write(0)));
  for (const chunkId of chunkIds) {
    const taskId = newId(systemRandom);
    tracker.tasks.set(taskId, { taskId, ...fetchTask(chunkId, [0]) });
  }
  await cluster.add({ settings: { copySlots: 2 } });
  await until(() => tracker.completed.length >= 20);
  expect(tracker.heartbeats.filter(({ keeperId }) => keeperId !== source)).toHaveLength(1);
  await until(() => tracker.completed.length === 30);
  expect(tracker.completed.every(({ error, receipt }) => error === null && receipt !== null)).toBe(true);
});

describe('a scrub', () => {
  it('reads everything at once, tells what is bad until that is answered, and how far it is', async () => {
    cluster = await TestCluster.start(1);
    const chunkIds = [await write(), await write(), await write()];
    await damage(chunkIds[1]!);
    const { heartbeats, refuse } = cluster.tracker;
    const answer = carryOut({ scrub: {} });
    // The tracker hears it, and its answer is lost: it has not taken what it was told.
    cluster.tracker.beforeHeartbeatAnswer = ({ badPieces }) => {
      if (badPieces.length > 0) refuse.heartbeat ??= new HoldfastError('UNAVAILABLE', 'busy');
    };
    expect((await answer).error).toBeNull();
    const toldTimes = (): number => heartbeats.filter(({ badPieces }) => badPieces.length > 0).length;
    await until(() => toldTimes() >= 2);
    cluster.tracker.beforeHeartbeatAnswer = () => undefined;
    delete refuse.heartbeat;
    await until(() => (heartbeats.at(-1)?.scrub?.rounds ?? 0) === 1);
    expect(heartbeats.at(-1)?.scrub).toMatchObject({ expectedPieces: 2, taskId: '' });
    await until(() => heartbeats.some(({ badPieces }) => badPieces.length > 0));
    const [told] = heartbeats.flatMap(({ badPieces }) => badPieces);
    expect(told).toMatchObject({ chunkId: chunkIds[1], error: { code: 'ERROR_CODE_CHECKSUM_MISMATCH' } });
    await until(() => heartbeats.at(-1)?.badPieces.length === 0);
    expect(await readdir(join(cluster.keeper().dataDir, 'quarantine'))).toEqual([`${chunkIds[1]}.0`]);
  });
});
