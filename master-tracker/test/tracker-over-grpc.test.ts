/** The whole tracker over a real port: what the contract says, and what it says to nonsense. */
import {
  type CommitUploadResponseOutput,
  type WatchEntriesRequest,
  keeperV1,
  trackerV1,
} from '@holdfast/proto';
import { type HoldfastError, signReceipt } from '@holdfast/shared';
import {
  type CallableMethod,
  PeerChannel,
  callServerStream,
  callUnary,
  controlChannelOptions,
  writeReceipt,
} from '@holdfast/shared/grpc';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { type MasterTracker, startMasterTracker } from '../src/index.js';
import { digestOf, failure, id, temporaryDirectory } from './support/fixture.js';

const namespace = trackerV1.NamespaceService.service;
const upload = trackerV1.UploadService.service;
const location = trackerV1.ChunkLocationService.service;
const registry = trackerV1.KeeperRegistryService.service;
const cluster = trackerV1.ClusterService.service;

interface RegisteredKeeper {
  readonly identity: { keeperId: string; storageId: string; incarnation: number };
  readonly address: string;
  /** As the tracker gave it at the registration. */
  receiptKey: Uint8Array;
}

/** Keepers here say nothing after their registration, and none is late for it, however slow the machine. */
const patientLeases = { suspectAfterMs: 600_000, deadAfterMs: 1_200_000 };

describe('the master tracker over gRPC', () => {
  let dataDir: string;
  let tracker: MasterTracker;
  let channel: PeerChannel;

  const start = async (): Promise<void> => {
    tracker = await startMasterTracker({ dataDir, listen: '127.0.0.1:0', settings: patientLeases });
    channel = new PeerChannel(tracker.address, controlChannelOptions);
  };
  beforeEach(async () => {
    dataDir = await temporaryDirectory();
    await start();
  });
  afterEach(async () => {
    channel.close();
    await tracker.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const call = <Request, Response>(method: CallableMethod<Request, Response>, request: Request) =>
    callUnary(channel, 'tracker', method, request, { deadlineMs: 60_000 });

  const capacity = { totalBytes: 2 ** 40, usedBytes: 0, freeBytes: 2 ** 40, trashBytes: 70 };
  const keepers = [1, 2, 3].map((index): RegisteredKeeper => ({
    identity: { keeperId: id(), storageId: id(), incarnation: 1 },
    address: `127.0.0.1:${7_600 + index}`,
    receiptKey: new Uint8Array(),
  }));

  const registerKeepers = async (): Promise<void> => {
    for (const keeper of keepers) {
      const { identity, address } = keeper;
      const answer = await call(registry.RegisterKeeper, { ...identity, address, capacity });
      keeper.receiptKey = answer.receiptKey;
      expect(answer.authority).toMatchObject({ clusterId: tracker.clusterId, epoch: tracker.epoch });
      await call(registry.ReportPieces, { ...identity, reportId: id(), page: 0, last: true });
    }
  };

  const putFile = async (path: string): Promise<CommitUploadResponseOutput> => {
    const begun = await call(upload.BeginUpload, { path, requestId: id(), allocateCount: 1 });
    const [allocation] = begun.allocations;
    expect(allocation?.keepers).toHaveLength(3);
    const chunkId = allocation!.chunkId;
    const digest = Buffer.from(digestOf(chunkId), 'hex');
    const receipts = keepers.map(({ identity, receiptKey }) =>
      writeReceipt(signReceipt({ ...identity, chunkId, pieceIndex: 0, lengthBytes: 10, digest }, receiptKey)),
    );
    return call(upload.CommitUpload, {
      uploadId: begun.uploadId,
      requestId: id(),
      files: [{ path, sizeBytes: 10, extents: [{ chunkId, chunkOffset: 0, length: 10 }] }],
      sealed: [{ chunkId, length: 10, digest, receipts }],
    });
  };

  it('stores a file, finds it after a kill, and tells how the cluster stands', async () => {
    await registerKeepers();
    await call(namespace.CreateDirectory, { path: '/d', requestId: id() });
    const { files } = await putFile('/d/naïve\n😀');
    expect(files[0]).toMatchObject({ durability: { fewestPieces: 3, policyPieces: 3 } });
    const before = tracker;
    channel.close();
    await tracker.kill();
    await start();
    expect(tracker).toMatchObject({ clusterId: before.clusterId, epoch: before.epoch + 1 });
    const listed = await call(namespace.ListEntries, { path: '/d' });
    expect(listed.entries.map((entry) => entry.path)).toEqual(['/d/naïve\n😀']);
    const located = await call(location.LocateChunks, { path: '/d/naïve\n😀', target: 'path' });
    expect(located.extents[0]?.pieces).toHaveLength(3);
    await registerKeepers();
    const status = await call(cluster.GetClusterStatus, {});
    expect(status).toMatchObject({ files: 1, directories: 1, logicalBytes: 10, chunks: 1 });
    expect(status.keepers.map((keeper) => keeper.state)).toEqual(Array(3).fill('KEEPER_STATE_LIVE'));
    const known = await call(cluster.ListKeepers, {});
    expect(known.keepers.map((keeper) => keeper.capacity?.trashBytes)).toEqual([70, 70, 70]);
  });

  it('shows thousands of files of one chunk with one call, all but those that cannot be shown', async () => {
    await registerKeepers();
    await putFile('/taken');
    const begun = await call(upload.BeginUpload, { requestId: id(), allocateCount: 1 });
    const chunkId = begun.allocations[0]!.chunkId;
    const digest = Buffer.from(digestOf(chunkId), 'hex');
    const count = 3_000;
    const seal = { ...{ chunkId, pieceIndex: 0 }, lengthBytes: 10 * count, digest };
    const receipts = keepers.map(({ identity, receiptKey }) =>
      writeReceipt(signReceipt({ ...identity, ...seal }, receiptKey)),
    );
    const paths = [...Array.from({ length: count - 2 }, (_, index) => `/p/${index % 50}/${index}`)];
    const request = {
      ...{ uploadId: begun.uploadId, requestId: id() },
      files: [...paths, '/taken', '/taken/below'].map((path, index) => ({
        ...{ path, sizeBytes: 10, createParents: true, expectedVersion: 0 },
        extents: [{ chunkId, chunkOffset: 10 * index, length: 10 }],
      })),
      sealed: [{ chunkId, length: 10 * count, digest, receipts }],
    };
    await failure('ALREADY_EXISTS', call(upload.CommitUpload, request));
    const { files } = await call(upload.CommitUpload, { ...request, requestId: id(), skipRefused: true });
    expect(files).toHaveLength(count);
    expect(files.filter(({ error }) => error !== null).map(({ path, error }) => [path, error?.code])).toEqual(
      [
        ['/taken', 'ERROR_CODE_ALREADY_EXISTS'],
        ['/taken/below', 'ERROR_CODE_NOT_A_DIRECTORY'],
      ],
    );
    expect(files[7]).toMatchObject({ path: '/p/7/7', durability: { chunks: 1, fewestPieces: 3 } });
    const located = await call(location.LocateChunks, { path: '/p/7/7', target: 'path' });
    expect(located.extents).toMatchObject([{ extent: { chunkId, chunkOffset: 70, length: 10 } }]);
    const status = await call(cluster.GetClusterStatus, {});
    expect(status).toMatchObject({ files: count - 1, directories: 51, chunks: 2 });
  });

  it('locates many files in one call, each chunk once', async () => {
    await registerKeepers();
    const { uploadId, allocations } = await call(upload.BeginUpload, { requestId: id(), allocateCount: 1 });
    const { chunkId } = allocations[0]!;
    const digest = Buffer.from(digestOf(chunkId), 'hex');
    const receipts = keepers.map(({ identity, receiptKey }) =>
      writeReceipt(signReceipt({ ...identity, chunkId, pieceIndex: 0, lengthBytes: 10, digest }, receiptKey)),
    );
    const extentsOf = [0, 3, 7].map((chunkOffset, n) => ({ chunkId, chunkOffset, length: [3, 4, 3][n]! }));
    const { files } = await call(upload.CommitUpload, {
      uploadId,
      requestId: id(),
      files: extentsOf.map((extent, n) => ({ path: `/${n}`, sizeBytes: extent.length, extents: [extent] })),
      sealed: [{ chunkId, length: 10, digest, receipts }],
    });
    const [first, second, third] = files.map(({ version }) => version);
    const versions = [third!, 1_000_000, first!, second!, first!];
    const located = await call(location.LocateFiles, { versions });
    expect(located.files.map(({ version }) => version)).toEqual(versions);
    expect(located.files.map(({ status }) => status.replace('FILE_LOCATION_STATUS_', ''))).toEqual([
      ...['LOCATED', 'GONE', 'LOCATED', 'LOCATED', 'LOCATED'],
    ]);
    expect(located.files[3]).toMatchObject({ sizeBytes: 4, extents: [extentsOf[1]] });
    expect(located.chunks).toMatchObject([{ chunkId, length: 10, blockSizeBytes: 65_536 }]);
    expect(located.chunks[0]?.digest).toEqual(digest);
    expect(located.chunks[0]?.pieces).toHaveLength(3);
    expect(located.tokenLifetimeMs).toBeGreaterThan(0);
  });

  it('lists in pages with an opaque token', async () => {
    for (const name of ['a', 'b', 'c'])
      await call(namespace.CreateDirectory, { path: `/${name}`, requestId: id() });
    const first = await call(namespace.ListEntries, { path: '/', pageSize: 2 });
    const second = await call(namespace.ListEntries, {
      path: '/',
      pageSize: 2,
      pageToken: first.nextPageToken,
    });
    expect([first, second].map((page) => page.entries.map((entry) => entry.path))).toEqual([
      ['/a', '/b'],
      ['/c'],
    ]);
    expect(second.nextPageToken).toBe('');
    await failure('INVALID_ARGUMENT', call(namespace.ListEntries, { path: '/', pageToken: '*' }));
  });

  it('lists the trash in pages, restores from it and empties it', async () => {
    await registerKeepers();
    for (const path of ['/d/b', '/d/a', '/d b']) {
      await call(namespace.CreateDirectory, { path: '/d', parents: true, requestId: id() });
      await putFile(path);
    }
    await call(namespace.DeleteEntry, { path: '/d', recursive: true, requestId: id() });
    await call(namespace.DeleteEntry, { path: '/d b', requestId: id() });
    const pages: string[][] = [];
    for (let pageToken = ''; pages.length === 0 || pageToken !== '';) {
      const page = await call(namespace.ListTrash, { pageSize: 2, pageToken });
      pages.push(page.versions.map(({ path }) => path));
      expect(page.versions[0]).toMatchObject({ sizeBytes: 10, replaced: false });
      expect(page.versions[0]!.expiresInMs).toBeGreaterThan(23 * 3_600_000);
      pageToken = page.nextPageToken;
    }
    expect(pages).toEqual([['/d b', '/d/a'], ['/d/b']]);
    expect((await call(namespace.ListTrash, { path: '/d' })).versions).toHaveLength(2);
    const { entry } = await call(namespace.RestoreEntry, { path: '/d/a', requestId: id() });
    expect(entry).toMatchObject({ path: '/d/a', sizeBytes: 10, policy: { pieces: 3 } });
    await failure(
      'ALREADY_EXISTS',
      call(namespace.RestoreEntry, { path: '/d/b', destinationPath: '/d/a', requestId: id() }),
    );
    expect(await call(namespace.EmptyTrash, { path: '/d', requestId: id() })).toEqual({
      versions: 1,
      bytes: 10,
    });
    await failure('NOT_FOUND', call(namespace.RestoreEntry, { path: '/d/b', requestId: id() }));
    expect(await call(namespace.EmptyTrash, { requestId: id() })).toEqual({ versions: 1, bytes: 10 });
    expect((await call(namespace.ListTrash, {})).versions).toEqual([]);
  });

  it('hands tasks out in heartbeats and takes their ends', async () => {
    await registerKeepers();
    await putFile('/file');
    const { extents } = await call(location.LocateChunks, { path: '/file', target: 'path' });
    const { extent, readToken } = extents[0]!;
    const { identity } = keepers[0]!;
    const chunkId = extent!.chunkId;
    await call(location.ReportBadPiece, { chunkId, keeperId: identity.keeperId, readToken });
    const beat = () => call(registry.Heartbeat, { ...identity, capacity, freeTaskSlots: 3 });
    const [task] = (await beat()).tasks;
    expect(task).toMatchObject({ action: 'verifyPiece', verifyPiece: { chunkId } });
    const error = { code: 'ERROR_CODE_CHECKSUM_MISMATCH', message: 'block 0' } as const;
    await call(registry.CompleteTask, { ...identity, taskId: task!.taskId, error });
    // Now the keeper may be told to fetch a good copy, but has nothing left to verify.
    expect((await beat()).tasks.map((next) => next.action)).not.toContain('verifyPiece');
    const entry = await call(namespace.GetEntry, { path: '/file' });
    expect(entry.entry?.durability).toMatchObject({ fewestPieces: 2, chunksBelowPolicy: 1 });
  });

  it('explains a file, previews a loss, and tells what happened, in pages', async () => {
    await registerKeepers();
    await putFile('/file');
    const explained = await call(cluster.ExplainEntry, { path: '/file' });
    expect(explained).toMatchObject({
      entry: { path: '/file', durability: { fewestPieces: 3 } },
      chunks: [{ fileOffset: 0, length: 10, policyPieces: 3, countedPieces: 3 }],
      nextPageToken: '',
    });
    expect(explained.chunks[0]?.pieces).toHaveLength(3);
    expect(explained.chunks[0]?.pieces[0]).toMatchObject({
      ...{ keeperState: 'KEEPER_STATE_LIVE', state: 'PIECE_STATE_DURABLE', counted: true },
      placedBecause: 'written by the upload',
    });
    const keeperIds = keepers.map(({ identity }) => identity.keeperId);
    expect(await call(cluster.PreviewKeeperLoss, { keeperIds })).toMatchObject({
      ...{ lostChunks: 1, lostFiles: 1, lostPaths: ['/file'], canWrite: false },
    });
    const kinds = async (request: { pageSize?: number; afterEventId?: number }) => {
      const found: string[] = [];
      for (let pageToken = ''; ;) {
        const page = await call(cluster.ListEvents, { ...request, pageToken });
        found.push(...page.events.map(({ eventId, kind }) => `${eventId} ${kind}`));
        if (page.nextPageToken === '') return found;
        expect(page.events).toHaveLength(request.pageSize ?? 100);
        pageToken = page.nextPageToken;
      }
    };
    const all = ['1 tracker-started', '2 keeper-joined', '3 keeper-joined', '4 keeper-joined'];
    expect(await kinds({ pageSize: 3 })).toEqual(all.toReversed());
    expect(await kinds({ pageSize: 1, afterEventId: 1 })).toEqual(all.slice(1));
    expect(await kinds({ afterEventId: 4 })).toEqual([]);
  });

  it('refuses nonsense about files, keepers and events', async () => {
    await registerKeepers();
    for (const pageToken of [
      '*',
      'MQ',
      Buffer.from('1 2 3').toString('base64url'),
      Buffer.from('-1 0').toString('base64url'),
    ]) {
      await failure('INVALID_ARGUMENT', call(cluster.ExplainEntry, { path: '/', pageToken }));
    }
    await failure('INVALID_ARGUMENT', call(cluster.ExplainEntry, { path: 'relative' }));
    await failure('IS_A_DIRECTORY', call(cluster.ExplainEntry, { path: '/' }));
    await failure(
      'INVALID_ARGUMENT',
      call(cluster.ListEvents, { pageToken: Buffer.from('1 2').toString('base64url') }),
    );
    await failure('INVALID_ARGUMENT', call(cluster.PreviewKeeperLoss, { keeperIds: [] }));
    await failure('INVALID_ARGUMENT', call(cluster.PreviewKeeperLoss, { keeperIds: ['no id'] }));
    await failure('NOT_FOUND', call(cluster.PreviewKeeperLoss, { keeperIds: [id()] }));
    const keeperIds = Array.from({ length: 1_001 }, () => id());
    await failure('LIMIT_EXCEEDED', call(cluster.PreviewKeeperLoss, { keeperIds }));
    expect((await call(cluster.ListEvents, { pageSize: 4_000_000_000 })).events).toHaveLength(4);
  });

  it('begins, shows and ends jobs, and takes what operators say of keepers', async () => {
    await registerKeepers();
    const [{ keeperId }] = [keepers[0]!.identity];
    const { jobId } = await call(cluster.DrainKeeper, { keeperId, requestId: id() });
    expect((await call(cluster.ListKeepers, {})).keepers.filter((each) => each.draining)).toHaveLength(1);
    const { job } = await call(cluster.GetJob, { jobId });
    expect(job).toMatchObject({ kind: 'JOB_KIND_DRAIN', state: 'JOB_STATE_RUNNING', keeperIds: [keeperId] });
    await call(cluster.ScrubKeepers, { requestId: id() });
    const first = await call(cluster.ListJobs, { pageSize: 1 });
    expect(first.jobs).toMatchObject([{ kind: 'JOB_KIND_SCRUB' }]);
    const second = await call(cluster.ListJobs, { pageSize: 1, pageToken: first.nextPageToken });
    expect(second.jobs).toMatchObject([{ jobId }]);
    const cancelled = await call(cluster.CancelJob, { jobId });
    expect(cancelled.job).toMatchObject({ state: 'JOB_STATE_CANCELLED' });
    expect((await call(cluster.ListKeepers, {})).keepers.some((each) => each.draining)).toBe(false);
    await call(cluster.SetMaintenance, { keeperId, durationMs: 60_000, requestId: id() });
    const states = (await call(cluster.ListKeepers, {})).keepers.map((each) => each.state);
    expect(states).toContain('KEEPER_STATE_MAINTENANCE');
    await call(cluster.SetMaintenance, { keeperId, requestId: id() });
    await failure('NOT_EMPTY', call(cluster.ForgetKeeper, { keeperId, requestId: id() }));
    await failure('NOT_FOUND', call(cluster.ForgetKeeper, { keeperId: id(), requestId: id() }));
    await failure('NOT_FOUND', call(cluster.GetJob, { jobId: id() }));
  });

  it('refuses a second tracker on the same data directory', async () => {
    await failure('DATA_DIR_LOCKED', startMasterTracker({ dataDir, listen: '127.0.0.1:0' }));
  });

  it('answers the standard health check', async () => {
    const health: CallableMethod<Buffer, Buffer> = {
      path: '/grpc.health.v1.Health/Check',
      requestSerialize: (bytes) => bytes,
      responseDeserialize: (bytes) => bytes,
    };
    // Field 1, varint 1: SERVING.
    expect(await call(health, Buffer.alloc(0))).toEqual(Buffer.from([0x08, 0x01]));
  });

  it('says of what it does not offer that it does not', async () => {
    await failure('UNIMPLEMENTED', call(keeperV1.ChunkService.service.StatChunk, {}));
  });

  const watch = (request: WatchEntriesRequest) =>
    callServerStream(channel, 'tracker', namespace.WatchEntries, request, { deadlineMs: 60_000 });

  it('tells a watch where it begins, each change, and where to go on', async () => {
    await registerKeepers();
    const first = watch({ path: '/d' });
    const begun = (await first.next()).value;
    expect(begun).toMatchObject({ kind: 'CHANGE_KIND_UNSPECIFIED', heartbeatIntervalMs: 5_000, path: '' });
    await putFile('/elsewhere');
    await call(namespace.CreateDirectory, { path: '/d', requestId: id() });
    await putFile('/d/naïve\n😀');
    await call(namespace.MoveEntry, { sourcePath: '/d', destinationPath: '/e', requestId: id() });
    const made = (await first.next()).value!;
    expect(made).toMatchObject({
      ...{ kind: 'CHANGE_KIND_CREATED', path: '/d', entryType: 'ENTRY_TYPE_DIRECTORY', oldPath: '' },
      entry: { path: '/d', type: 'ENTRY_TYPE_DIRECTORY' },
    });
    expect(Math.abs(made.changedAtUnixMs - Date.now())).toBeLessThan(60_000);
    await first.return();
    // What was not taken comes again, whoever asks.
    const second = watch({ path: '/', cursor: made.cursor });
    expect((await second.next()).value?.cursor).toBe(made.cursor);
    expect((await second.next()).value).toMatchObject({
      ...{ kind: 'CHANGE_KIND_CREATED', path: '/d/naïve\n😀', entryType: 'ENTRY_TYPE_FILE' },
      entry: { sizeBytes: 10, policy: { pieces: 3 } },
    });
    expect((await second.next()).value).toMatchObject({
      ...{ kind: 'CHANGE_KIND_MOVED', path: '/e', oldPath: '/d', entry: { path: '/e' } },
    });
    await second.return();
  });

  it('ends watches at once when it stops, also those that nobody reads', async () => {
    const running = watch({ path: '/' });
    const stuck = watch({ path: '/' });
    for (const each of [running, stuck]) await each.next();
    // More than all buffers between the two take.
    const name = 'x'.repeat(250);
    const parents = `/${Array(15).fill(name).join('/')}`;
    for (let n = 0; n < 200; n += 1) {
      await call(namespace.CreateDirectory, { path: `${parents}/${n}`, parents: true, requestId: id() });
    }
    while (!(await running.next()).value?.path.endsWith('/199'));
    const next = running.next();
    next.catch(() => undefined);
    // Of 10 ms each that the program waits for by itself: the machine may stand still meanwhile. Its grace would be 500.
    let ticks = 0;
    const ticking = setInterval(() => (ticks += 1), 10);
    await tracker.stop();
    clearInterval(ticking);
    expect(ticks).toBeLessThan(300);
    await failure('UNAVAILABLE', next);
    await start();
  });

  it('forgets a watch whose caller has left', async () => {
    // A connection has 256 calls at a time; the tracker has room for 500 watches.
    for (let round = 0; round < 5; round += 1) {
      const watches = Array.from({ length: 120 }, () => watch({ path: '/' }));
      for (const each of watches) expect((await each.next()).done).toBe(false);
      for (const each of watches) await each.return();
    }
  });

  it.each([
    { path: '' },
    { path: 'a' },
    ...[
      '*',
      'x'.repeat(65),
      'x'.repeat(100_000),
      'MDEyMzQ1Njc',
      ...['0123456701', '01234567-1', '012345671e3'],
    ].map((cursor) => ({ path: '/', cursor })),
    { path: '/', cursor: Buffer.from('012345679999999999999999').toString('base64url') },
  ])('refuses nonsense about watches and goes on: %#', async (request) => {
    await failure('INVALID_ARGUMENT', watch(request).next());
    await call(namespace.GetEntry, { path: '/' });
  });

  it('refuses a cursor that is well-formed and none of its own', async () => {
    const cursor = Buffer.from('0123456717').toString('base64url');
    const error = (await failure('CURSOR_EXPIRED', watch({ path: '/', cursor }).next())) as HoldfastError;
    expect(error.remedy).toMatch(/list/);
  });

  const requestId = id();
  const keeper = { keeperId: id(), storageId: id(), incarnation: 1 };
  const trashToken = (text: string): string => Buffer.from(text).toString('base64url');
  const nonsense: readonly (readonly [string, CallableMethod<never, unknown>, object])[] = [
    ...['', 'x', '//', '/a/', '/..', '/a\0b', `/${'x'.repeat(256)}`, `/${'x/'.repeat(2_100)}x`].map(
      (path) => [`GetEntry ${path.slice(0, 9)}`, namespace.GetEntry, { path }] as const,
    ),
    ['ListEntries', namespace.ListEntries, { path: 'x' }],
    ['CopyEntry from nowhere', namespace.CopyEntry, { sourcePath: '', destinationPath: '/b', requestId }],
    ['CopyEntry to nowhere', namespace.CopyEntry, { sourcePath: '/a', destinationPath: 'b', requestId }],
    ['CopyEntry without an id', namespace.CopyEntry, { sourcePath: '/a', destinationPath: '/b' }],
    ['DrainKeeper', cluster.DrainKeeper, { keeperId: 'x', requestId }],
    ['DrainKeeper without an id', cluster.DrainKeeper, { keeperId: keeper.keeperId }],
    ['RebalanceCluster without an id', cluster.RebalanceCluster, {}],
    ['ScrubKeepers', cluster.ScrubKeepers, { keeperIds: [keeper.keeperId, ''], requestId }],
    ['GetJob', cluster.GetJob, { jobId: '../x' }],
    ['CancelJob', cluster.CancelJob, {}],
    ['ListJobs', cluster.ListJobs, { pageToken: '-1' }],
    [
      'SetMaintenance, two days',
      cluster.SetMaintenance,
      { ...keeper, durationMs: 2 * 86_400_000, requestId },
    ],
    ['SetMaintenance without an id', cluster.SetMaintenance, { keeperId: keeper.keeperId }],
    ['ForgetKeeper', cluster.ForgetKeeper, { keeperId: keeper.keeperId }],
    ['CreateDirectory without an id', namespace.CreateDirectory, { path: '/a' }],
    ['CreateDirectory, a long id', namespace.CreateDirectory, { path: '/a', requestId: 'x'.repeat(65) }],
    ['CreateDirectory, a bad id', namespace.CreateDirectory, { path: '/a', requestId: 'a b' }],
    ['MoveEntry', namespace.MoveEntry, { sourcePath: '/a', destinationPath: 'b', requestId }],
    [
      'MoveEntry, 2^60',
      namespace.MoveEntry,
      { sourcePath: '/a', destinationPath: '/b', expectedVersion: 2 ** 60, requestId },
    ],
    ['DeleteEntry', namespace.DeleteEntry, { path: '/', requestId }],
    ['RestoreEntry', namespace.RestoreEntry, { path: 'a', requestId }],
    ['RestoreEntry without an id', namespace.RestoreEntry, { path: '/a' }],
    ['RestoreEntry, target', namespace.RestoreEntry, { path: '/a', destinationPath: '/..', requestId }],
    ['RestoreEntry, 2^60', namespace.RestoreEntry, { path: '/a', version: 2 ** 60, requestId }],
    ['RestoreEntry, expected', namespace.RestoreEntry, { path: '/a', expectedVersion: 2 ** 60, requestId }],
    ['ListTrash', namespace.ListTrash, { path: 'a' }],
    ...['*', trashToken('12'), trashToken('1/a'), trashToken('1/b/../c')].map(
      (pageToken) => [`ListTrash ${pageToken}`, namespace.ListTrash, { path: '/b', pageToken }] as const,
    ),
    ['EmptyTrash', namespace.EmptyTrash, { path: '/a/', requestId }],
    ['EmptyTrash without an id', namespace.EmptyTrash, { path: '/a' }],
    ['BeginUpload, the root', upload.BeginUpload, { path: '', requestId: '' }],
    ['BeginUpload, 65 chunks', upload.BeginUpload, { path: '/a', requestId, allocateCount: 65 }],
    ['BeginUpload, tiny chunks', upload.BeginUpload, { path: '/a', requestId, chunkSizeBytes: 1 }],
    ['BeginUpload, 17 pieces', upload.BeginUpload, { path: '/a', requestId, policy: { pieces: 17 } }],
    [
      'BeginUpload, 3 of 2',
      upload.BeginUpload,
      { path: '/a', requestId, policy: { pieces: 2, minWrite: 3 } },
    ],
    ['BeginUpload, excluded', upload.BeginUpload, { path: '/a', requestId, excludeKeeperIds: ['x'] }],
    ['AllocateChunks', upload.AllocateChunks, { uploadId: 'x', count: 1 }],
    [
      'AllocateChunks, digest',
      upload.AllocateChunks,
      { uploadId: id(), sealed: [{ chunkId: id(), length: 1 }] },
    ],
    ['CommitUpload, no files', upload.CommitUpload, { uploadId: id(), requestId }],
    [
      'CommitUpload, size',
      upload.CommitUpload,
      { uploadId: id(), requestId, files: [{ path: '/a', sizeBytes: 1 }] },
    ],
    [
      'CommitUpload, mode',
      upload.CommitUpload,
      { uploadId: id(), requestId, files: [{ path: '/a', attributes: { mode: 0o10000 } }] },
    ],
    [
      'CommitUpload, content digest',
      upload.CommitUpload,
      { uploadId: id(), requestId, files: [{ path: '/a', contentDigest: Buffer.alloc(31) }] },
    ],
    [
      'CommitUpload, append to nothing',
      upload.CommitUpload,
      { uploadId: id(), requestId, files: [{ path: '/a', appendToVersion: 0 }] },
    ],
    [
      'CommitUpload, append to two',
      upload.CommitUpload,
      { uploadId: id(), requestId, files: [{ path: '/a', appendToVersion: 1, expectedVersion: 1 }] },
    ],
    [
      'CommitUpload, twice',
      upload.CommitUpload,
      { uploadId: id(), requestId, files: [{ path: '/a' }, { path: '/a' }] },
    ],
    [
      'CommitUpload, extent',
      upload.CommitUpload,
      { uploadId: id(), requestId, files: [{ path: '/a', extents: [{ chunkId: id() }] }] },
    ],
    ['AbortUpload', upload.AbortUpload, { uploadId: id().toUpperCase().replace(/[0-9]/g, 'A') }],
    ['GetUpload', upload.GetUpload, { uploadId: id(), pageToken: 'x' }],
    ['LocateChunks, nothing', location.LocateChunks, {}],
    ['LocateChunks, version 0', location.LocateChunks, { version: 0, target: 'version' }],
    ['LocateChunks, offset', location.LocateChunks, { path: '/a', target: 'path', offset: 2 ** 60 }],
    ['LocateFiles, nothing', location.LocateFiles, {}],
    ['LocateFiles, version 0', location.LocateFiles, { versions: [1, 0] }],
    ['LocateFiles, version 2^60', location.LocateFiles, { versions: [2 ** 60] }],
    ['ReportBadPiece', location.ReportBadPiece, { chunkId: id(), keeperId: 'x' }],
    ['RegisterKeeper, nothing', registry.RegisterKeeper, {}],
    ['RegisterKeeper, address', registry.RegisterKeeper, { ...keeper, capacity, address: 'http://x' }],
    ['RegisterKeeper, capacity', registry.RegisterKeeper, { ...keeper, address: 'h:1' }],
    ['RegisterKeeper, zone', registry.RegisterKeeper, { ...keeper, capacity, address: 'h:1', zone: '\n' }],
    ['Heartbeat', registry.Heartbeat, { ...keeper }],
    ['Heartbeat, stored', registry.Heartbeat, { ...keeper, capacity, stored: [{ chunkId: 'x' }] }],
    ['Heartbeat, bad', registry.Heartbeat, { ...keeper, capacity, badPieces: [{ chunkId: 'x', error: {} }] }],
    [
      'Heartbeat, bad without why',
      registry.Heartbeat,
      { ...keeper, capacity, badPieces: [{ chunkId: id() }] },
    ],
    [
      'Heartbeat, bad piece index',
      registry.Heartbeat,
      { ...keeper, capacity, badPieces: [{ chunkId: id(), pieceIndex: 1, error: {} }] },
    ],
    ['Heartbeat, scrub', registry.Heartbeat, { ...keeper, capacity, scrub: { throughChunkId: 'x' } }],
    ['Heartbeat, scrub task', registry.Heartbeat, { ...keeper, capacity, scrub: { taskId: '\n' } }],
    ['ReportPieces', registry.ReportPieces, { ...keeper, reportId: 'x' }],
    ['ReportPieces, wish', registry.ReportPieces, { ...keeper, reportId: id(), wantedReport: 'x' }],
    ['TrashUnknownPieces', cluster.TrashUnknownPieces, { keeperId: 'x', requestId }],
    ['TrashUnknownPieces, no id', cluster.TrashUnknownPieces, { keeperId: id() }],
    ['CompleteTask', registry.CompleteTask, { ...keeper, taskId: 'x' }],
    ['CompleteTask, receipt', registry.CompleteTask, { ...keeper, taskId: id(), receipt: {} }],
  ];

  it.each(nonsense)('refuses nonsense and goes on: %s', async (_what, method, request) => {
    const error = (await failure('INVALID_ARGUMENT', call(method, request as never))) as HoldfastError;
    expect(error.message).not.toBe('');
    expect(error.retryable).toBe(false);
    await call(namespace.GetEntry, { path: '/' });
  });

  it('gives a lease within its bounds, whatever is asked for', async () => {
    for (const leaseMs of [0, 1, 2 ** 32 - 1]) {
      const request = { path: '/lease', requestId: id(), leaseMs };
      const begun = await call(upload.BeginUpload, request);
      expect(begun.leaseMs).toBeGreaterThanOrEqual(600_000);
      expect(begun.leaseMs).toBeLessThanOrEqual(24 * 3_600_000);
      const { uploadId } = begun;
      const found = await call(upload.GetUpload, { uploadId });
      expect(found).toMatchObject({ leaseMs: begun.leaseMs, tokenLifetimeMs: begun.tokenLifetimeMs });
      const short = await call(upload.BeginUpload, { path: '/short', requestId: id() });
      const extended = await call(upload.AllocateChunks, { uploadId: short.uploadId, leaseMs });
      expect(extended.leaseMs).toBe(begun.leaseMs);
      await call(upload.AbortUpload, { uploadId: short.uploadId });
      await call(upload.AbortUpload, { uploadId });
    }
  });

  it('refuses what is well-formed and not there, or too much', async () => {
    await failure('NOT_FOUND', call(upload.GetUpload, { uploadId: id() }));
    await failure('UPLOAD_CLOSED', call(upload.AllocateChunks, { uploadId: id(), count: 1 }));
    await failure(
      'NOT_ENOUGH_KEEPERS',
      call(upload.BeginUpload, { path: '/a', requestId: id(), allocateCount: 1 }),
    );
    await failure('NOT_FOUND', call(location.LocateChunks, { version: 77, target: 'version' }));
    await failure('NOT_FOUND', call(cluster.TrashUnknownPieces, { keeperId: id(), requestId: id() }));
    await failure('NOT_REGISTERED', call(registry.Heartbeat, { ...keeper, capacity }));
    await failure('NOT_REGISTERED', call(registry.ReportPieces, { ...keeper, reportId: id() }));
    await failure('NOT_REGISTERED', call(registry.CompleteTask, { ...keeper, taskId: id() }));
    const chunkIds = Array.from({ length: 1_001 }, id);
    await failure(
      'LIMIT_EXCEEDED',
      call(registry.CompleteTask, { ...keeper, taskId: id(), trashedChunkIds: chunkIds }),
    );
    const versions = Array.from({ length: 1_001 }, () => 1);
    await failure('LIMIT_EXCEEDED', call(location.LocateFiles, { versions }));
    const files = Array.from({ length: 10_001 }, (_, index) => ({ path: `/${index}` }));
    await failure('LIMIT_EXCEEDED', call(upload.CommitUpload, { uploadId: id(), requestId: id(), files }));
  });

  it('answers many at once', async () => {
    const paths = Array.from({ length: 200 }, (_, index) => `/d${index}`);
    await Promise.all(paths.map((path) => call(namespace.CreateDirectory, { path, requestId: id() })));
    expect((await call(cluster.GetClusterStatus, {})).directories).toBe(200);
  });
});
