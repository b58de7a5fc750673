/**
 * A tracker and its keepers in memory, behind the client's two ports, behaving as the contract says. Faults are
 * put in by hooks; what was called is in `calls`.
 */
import {
  type Clock,
  type KeeperEndpoint,
  type Receipt,
  ByteBudget,
  ChecksumTable,
  HoldfastError,
  blockChecksums,
  firstMismatch,
  hasCode,
  joinBytes,
  limits,
  namespaceRefusals,
  newId,
  parentPath,
  replicaPolicy,
} from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { digestOfWhole } from '../../src/core/content-digest.js';
import type { ClientContext } from '../../src/core/context.js';
import { KeeperHealth } from '../../src/core/keeper-health.js';
import type { CallOptions } from '../../src/ports/call-options.js';
import type { BlockRun, KeeperApi, PieceMessage, ReadChunkRequest } from '../../src/ports/keeper-api.js';
import type {
  BadPiece,
  ChunkAllocation,
  Entry,
  FileExtent,
  LocatedExtent,
  SealedChunk,
  TrackerApi,
  TrashedVersion,
} from '../../src/ports/tracker-api.js';
import type { Job } from '../../src/ports/jobs.js';
import type { ClusterStatus } from '../../src/ports/cluster-status.js';
import type { WatchApi, WatchMessage, WatchRequest } from '../../src/ports/watch.js';
import type { ClusterEvent, ExplainedChunk, LossPreview } from '../../src/ports/inspection.js';
import { AutoClock } from './auto-clock.js';
import { noLoss, statusOf } from './fake-status.js';

const blockSizeBytes = limits.blockSizeBytes;

interface StoredVersion {
  readonly entry: Entry;
  readonly extents: readonly FileExtent[];
}

interface Session {
  readonly minWrite: number;
  readonly pieces: number;
  readonly chunkSizeBytes: number;
  readonly chunkIds: Set<string>;
  readonly sealed: Map<string, SealedChunk>;
  state: 'open' | 'committed' | 'aborted';
  leaseMs: number;
}

/** What a keeper does instead of its work. May throw, wait for ever, or change what it answers. */
interface KeeperFaults {
  /** Before a chunk is taken from a client. */
  write?: (chunkId: string, signal: AbortSignal) => void | Promise<void>;
  /** As a follower: true stores, a HoldfastError is the failure it is named with. */
  follow?: (chunkId: string) => HoldfastError | undefined;
  /** Changes the receipts of an answer. */
  receipts?: (receipts: Receipt[]) => Receipt[];
  /** Instead of the messages of a read. */
  read?: (
    messages: AsyncIterable<PieceMessage>,
    request: ReadChunkRequest,
    signal: AbortSignal,
  ) => AsyncIterable<PieceMessage>;
}

export interface FakeKeeper extends KeeperEndpoint {
  readonly chunks: Map<string, Buffer>;
  faults: KeeperFaults;
}

/** A check that has just begun. */
export const runningJob: Job = {
  jobId: '7'.repeat(32),
  kind: 'check',
  state: 'running',
  keeperIds: [],
  startedAtUnixMs: 0,
  done: 0,
  expected: 10,
  doneBytes: 0,
  text: 'waiting for keepers',
  findings: [],
  findingsTotal: 0,
};

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

const isBelow = (path: string, top: string): boolean =>
  top === '/' || path === top || path.startsWith(`${top}/`);

/** Waits until the caller gives up: a keeper that hangs. */
export const hang = (_what: unknown, signal: AbortSignal): Promise<never> => never(signal);

const notInThisFake = (...args: readonly unknown[]): Promise<never> => {
  const { signal } = (args.at(-1) ?? {}) as CallOptions;
  return Promise.reject(
    signal?.aborted ? (signal.reason as Error) : new HoldfastError('UNIMPLEMENTED', 'not in this fake'),
  );
};

export class FakeCluster {
  /** What a watch is told; hangs where it ends if it does not throw. */
  watched: (request: WatchRequest) => AsyncIterable<WatchMessage> | Iterable<WatchMessage> = () => [];
  readonly calls: string[] = [];
  readonly bad: BadPiece[] = [];
  readonly keepers: FakeKeeper[];
  readonly sessions = new Map<string, Session>();
  readonly versions = new Map<number, StoredVersion>();
  readonly paths = new Map<string, number | 'directory'>([['/', 'directory']]);
  /** What can be restored; the one that left its path last comes last. */
  trash: TrashedVersion[] = [];
  readonly #answers = new Map<string, { readonly asked: string; readonly answer: unknown }>();
  readonly tracker: TrackerApi & WatchApi;
  readonly keeperApi: KeeperApi;
  readonly clock = new AutoClock();
  leaseMs = 600_000;
  /** The longest that may be asked for; 0 of a tracker that does not know of asking. */
  maxLeaseMs = 24 * 3_600_000;
  /** Called before each tracker call; may throw. */
  before: (name: string, request: unknown) => void | Promise<void> = () => undefined;
  /** Called after a tracker call had its effect; may throw: the answer is lost. */
  after: (name: string) => void | Promise<void> = () => undefined;
  /** Changes what LocateChunks answers. */
  locate: (extents: LocatedExtent[]) => LocatedExtent[] = (extents) => extents;
  locatePageSize = 256;
  /** What a job looks like, one look after the other; the last one stays. */
  jobs: Job[] = [];
  /** What differs from a cluster that is well, as status says. */
  status: Partial<ClusterStatus> = {};
  /** What ExplainEntry answers of any file. */
  explained: ExplainedChunk[] = [];
  explainPageSize = 100;
  /** What differs from nothing that would be lost. */
  loss: Partial<LossPreview> = {};
  /** The oldest first. */
  events: ClusterEvent[] = [];

  constructor(keepers = 3) {
    this.keepers = Array.from({ length: keepers }, (_, index) => ({
      keeperId: String(index + 1)
        .repeat(32)
        .slice(0, 32),
      address: `10.0.0.${index + 1}:7501`,
      zone: '',
      chunks: new Map<string, Buffer>(),
      faults: {},
    }));
    this.tracker = this.#makeTracker();
    this.keeperApi = this.#makeKeepers();
  }

  context(memoryBytes = 64 * 1024 * 1024, clock: Clock = this.clock): ClientContext {
    return {
      tracker: this.tracker,
      keepers: this.keeperApi,
      clock,
      random: systemRandom,
      memory: new ByteBudget(memoryBytes),
      health: new KeeperHealth(clock),
    };
  }

  keeper(number: number): FakeKeeper {
    return this.keepers[number - 1]!;
  }

  called(name: string): number {
    return this.calls.filter((call) => call === name).length;
  }

  /** What the path shows, put together from the keepers' chunks; undefined if nothing. */
  content(path: string): Buffer | undefined {
    const version = this.paths.get(path);
    if (typeof version !== 'number') return undefined;
    const { extents } = this.versions.get(version)!;
    return Buffer.concat(
      extents.map(({ chunkId, chunkOffset, lengthBytes }) => {
        const chunk = this.keepers.map(({ chunks }) => chunks.get(chunkId)).find((bytes) => bytes)!;
        return chunk.subarray(chunkOffset, chunkOffset + lengthBytes);
      }),
    );
  }

  /** Stores a file without any upload, `chunkBytes` a chunk, on all keepers. */
  put(path: string, bytes: Buffer, chunkBytes = 1024 * 1024): Entry {
    const extents: FileExtent[] = [];
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      const chunk = Buffer.from(bytes.subarray(at, at + chunkBytes));
      const chunkId = newId(systemRandom);
      for (const { chunks } of this.keepers) chunks.set(chunkId, chunk);
      extents.push({ chunkId, chunkOffset: 0, lengthBytes: chunk.length });
    }
    return this.#show(path, bytes.length, extents, {}, 3);
  }

  /** Stores files one after the other in one chunk, on all keepers. */
  putPacked(files: readonly (readonly [path: string, bytes: Buffer])[]): Entry[] {
    const chunk = Buffer.concat(files.map(([, bytes]) => bytes));
    const chunkId = newId(systemRandom);
    for (const { chunks } of this.keepers) chunks.set(chunkId, chunk);
    let chunkOffset = 0;
    return files.map(([path, bytes]) => {
      const { length: lengthBytes } = bytes;
      const extents = lengthBytes === 0 ? [] : [{ chunkId, chunkOffset, lengthBytes }];
      chunkOffset += lengthBytes;
      return this.#show(path, lengthBytes, extents, {}, 3, digestOfWhole(bytes).toString('hex'));
    });
  }

  #show(
    path: string,
    sizeBytes: number,
    extents: readonly FileExtent[],
    attributes: object,
    pieces: number,
    contentDigest?: string,
  ): Entry {
    const version = this.versions.size + 1;
    const fewest = Math.min(
      pieces,
      ...extents.map(({ chunkId }) => this.keepers.filter(({ chunks }) => chunks.has(chunkId)).length),
    );
    const durability = {
      chunks: extents.length,
      fewest,
      wanted: pieces,
      chunksBelowPolicy: fewest < pieces ? extents.length : 0,
    };
    const entry: Entry = {
      path,
      type: 'file',
      sizeBytes,
      version,
      createdAtUnixMs: 0,
      attributes,
      policy: replicaPolicy({ pieces }),
      ...(contentDigest !== undefined && { contentDigest }),
      durability,
    };
    this.versions.set(version, { entry, extents });
    this.#leave(path, true);
    this.paths.set(path, version);
    return entry;
  }

  #leave(path: string, replaced: boolean): void {
    const version = this.paths.get(path);
    if (typeof version !== 'number') return;
    const { sizeBytes } = this.versions.get(version)!.entry;
    this.trash.push({ path, version, sizeBytes, trashedAtUnixMs: 0, expiresInMs: 86_400_000, replaced });
  }

  #entry(path: string): Entry {
    const found = this.paths.get(path);
    if (found === undefined) throw new HoldfastError('NOT_FOUND', `no entry ${path}`);
    if (typeof found === 'number') return { ...this.versions.get(found)!.entry, path };
    return { path, type: 'directory', sizeBytes: 0, version: 0, createdAtUnixMs: 0, attributes: {} };
  }

  #session(uploadId: string): Session {
    const session = this.sessions.get(uploadId);
    if (session?.state !== 'open') throw new HoldfastError('UPLOAD_CLOSED', 'the upload is closed');
    return session;
  }

  #checkTarget(path: string, expectedVersion: number | undefined, createParents: boolean): void {
    const there = this.paths.get(path);
    if (expectedVersion === 0 && there !== undefined)
      throw new HoldfastError('ALREADY_EXISTS', `${path} exists`);
    if (there === 'directory') throw new HoldfastError('IS_A_DIRECTORY', `${path} is a directory`);
    if (expectedVersion !== undefined && expectedVersion > 0 && there !== expectedVersion) {
      throw new HoldfastError('VERSION_CONFLICT', `${path} is not at ${expectedVersion}`);
    }
    if (createParents) {
      for (let at = parentPath(path); at !== '/'; at = parentPath(at)) {
        if (typeof this.paths.get(at) === 'number')
          throw new HoldfastError('NOT_A_DIRECTORY', `${at} is a file`);
      }
      for (let at = parentPath(path); at !== '/'; at = parentPath(at)) this.paths.set(at, 'directory');
    }
    const parent = this.paths.get(parentPath(path));
    if (parent === undefined) throw new HoldfastError('NOT_FOUND', `no parent of ${path}`);
    if (parent !== 'directory') throw new HoldfastError('NOT_A_DIRECTORY', `${parentPath(path)} is a file`);
  }

  #allocate(session: Session, count: number, exclude: readonly string[]): ChunkAllocation[] {
    if (count === 0) return [];
    const others = this.keepers.filter(({ keeperId }) => !exclude.includes(keeperId));
    const eligible = others.length >= session.minWrite ? others : this.keepers;
    if (eligible.length < session.minWrite) {
      throw new HoldfastError('NOT_ENOUGH_KEEPERS', `${eligible.length} of ${session.minWrite} keepers`);
    }
    return Array.from({ length: count }, () => {
      const chunkId = newId(systemRandom);
      session.chunkIds.add(chunkId);
      const keepers = eligible
        .slice(0, session.pieces)
        .map(({ keeperId, address, zone }) => ({ keeperId, address, zone }));
      return { chunkId, keepers, writeToken: Buffer.from('write') };
    });
  }

  async #call<T>(name: string, request: unknown, signal: AbortSignal | undefined, work: () => T): Promise<T> {
    this.calls.push(name);
    if (signal?.aborted) throw signal.reason;
    await this.before(name, request);
    const { requestId, files } = (request ?? {}) as { requestId?: string; files?: unknown };
    const answer =
      requestId === undefined ? work() : this.#once(requestId, JSON.stringify([name, files]), work);
    await this.after(name);
    if (HoldfastError.is(answer)) throw answer;
    return answer;
  }

  /** One effect and one answer for an id, which may be a refusal. */
  #once<T>(requestId: string, asked: string, work: () => T): T | HoldfastError {
    const known = this.#answers.get(requestId);
    if (known && known.asked !== asked)
      throw new HoldfastError('REQUEST_ID_REUSED', 'used for another request');
    if (known) return known.answer as T | HoldfastError;
    let answer: T | HoldfastError;
    try {
      answer = work();
    } catch (error) {
      if (!hasCode(error, ...namespaceRefusals)) throw error;
      answer = error;
    }
    this.#answers.set(requestId, { asked, answer });
    return answer;
  }

  async *#watch(request: WatchRequest, signal: AbortSignal): AsyncGenerator<WatchMessage, void, undefined> {
    const watched = await this.#call('watchEntries', request, signal, () => this.watched(request));
    for await (const message of watched) {
      if (signal.aborted) throw signal.reason;
      yield message;
    }
    await never(signal);
  }

  #makeTracker(): TrackerApi & WatchApi {
    return {
      getEntry: (path, o) => this.#call('getEntry', path, o?.signal, () => this.#entry(path)),
      listEntries: (path, _token, o) =>
        this.#call('listEntries', path, o?.signal, () => {
          if (this.#entry(path).type === 'file')
            throw new HoldfastError('NOT_A_DIRECTORY', `${path} is a file`);
          const below = [...this.paths.keys()].filter((at) => at !== '/' && parentPath(at) === path);
          below.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
          return { entries: below.map((at) => this.#entry(at)), nextPageToken: '' };
        }),
      createDirectory: (request, o) =>
        this.#call('createDirectory', request, o?.signal, () => {
          const { path, parents } = request;
          const there = this.paths.get(path);
          if (typeof there === 'number' || (there && !parents)) {
            throw new HoldfastError('ALREADY_EXISTS', `${path} exists`);
          }
          if (!there) this.#checkTarget(path, undefined, parents);
          this.paths.set(path, 'directory');
          return this.#entry(path);
        }),
      moveEntry: (request, o) =>
        this.#call('moveEntry', request, o?.signal, () => {
          const from = this.paths.get(request.sourcePath);
          if (from === undefined) throw new HoldfastError('NOT_FOUND', `no entry ${request.sourcePath}`);
          this.#checkTarget(request.destinationPath, request.expectedVersion, false);
          this.paths.delete(request.sourcePath);
          this.paths.set(request.destinationPath, from);
          return this.#entry(request.destinationPath);
        }),
      copyEntry: (request, o) =>
        this.#call('copyEntry', request, o?.signal, () => {
          const { sourcePath, destinationPath, expectedVersion } = request;
          const version = this.paths.get(sourcePath);
          if (version === undefined) throw new HoldfastError('NOT_FOUND', `no entry ${sourcePath}`);
          const stored = version === 'directory' ? undefined : this.versions.get(version);
          if (!stored) throw new HoldfastError('IS_A_DIRECTORY', `${sourcePath} is a directory`);
          this.#checkTarget(destinationPath, expectedVersion, false);
          return this.#show(destinationPath, stored.entry.sizeBytes, stored.extents, {}, 3);
        }),
      deleteEntry: (request, o) =>
        this.#call('deleteEntry', request, o?.signal, () => {
          this.#entry(request.path);
          const below = [...this.paths.keys()].filter((at) => at.startsWith(`${request.path}/`));
          if (below.length > 0 && !request.recursive) throw new HoldfastError('NOT_EMPTY', 'it has entries');
          for (const at of [request.path, ...below]) {
            this.#leave(at, false);
            this.paths.delete(at);
          }
          return below.length + 1;
        }),
      listTrash: (path, token, o) =>
        this.#call('listTrash', path, o?.signal, () => {
          const found = this.trash.filter((row) => isBelow(row.path, path)).reverse();
          // A stable sort: of each path, the one that left it last first.
          found.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
          const [from, to] = [Number(token), Number(token) + 2];
          return { versions: found.slice(from, to), nextPageToken: to < found.length ? String(to) : '' };
        }),
      restoreEntry: (request, o) =>
        this.#call('restoreEntry', request, o?.signal, () => {
          const { path, version, destinationPath, expectedVersion } = request;
          const row = this.trash.findLast(
            (each) => each.path === path && (version === 0 || each.version === version),
          );
          if (!row) throw new HoldfastError('NOT_FOUND', `${path} is not in the trash`);
          this.#checkTarget(destinationPath, expectedVersion, true);
          const { extents } = this.versions.get(row.version)!;
          const entry = this.#show(destinationPath, row.sizeBytes, extents, {}, 3);
          this.trash = this.trash.filter((each) => each !== row);
          return entry;
        }),
      emptyTrash: (request, o) =>
        this.#call('emptyTrash', request, o?.signal, () => {
          const gone = this.trash.filter((row) => isBelow(row.path, request.path));
          this.trash = this.trash.filter((row) => !gone.includes(row));
          return { versions: gone.length, bytes: gone.reduce((sum, row) => sum + row.sizeBytes, 0) };
        }),
      beginUpload: (request, o) =>
        this.#call('beginUpload', request, o?.signal, () => {
          this.#checkTarget(request.path, request.expectedVersion, request.createParents);
          const policy = replicaPolicy({
            pieces: request.replicas ?? 0,
            minWrite: request.minWrite ?? 0,
          });
          const session: Session = {
            ...policy,
            chunkSizeBytes: request.chunkSizeBytes || limits.defaultChunkSizeBytes,
            chunkIds: new Set(),
            sealed: new Map(),
            state: 'open',
            leaseMs: this.leaseMs,
          };
          const allocations = this.#allocate(session, request.allocateCount, request.excludeKeeperIds);
          const uploadId = newId(systemRandom);
          this.sessions.set(uploadId, session);
          const { chunkSizeBytes, leaseMs } = session;
          return {
            uploadId,
            leaseMs,
            policy,
            chunkSizeBytes,
            blockSizeBytes,
            allocations,
            tokenLifetimeMs: 3_600_000,
          };
        }),
      allocateChunks: (request, o) =>
        this.#call('allocateChunks', request, o?.signal, () => {
          const session = this.#session(request.uploadId);
          for (const chunk of request.sealed) session.sealed.set(chunk.chunkId, chunk);
          session.leaseMs = Math.max(session.leaseMs, Math.min(request.leaseMs ?? 0, this.maxLeaseMs));
          return {
            allocations: this.#allocate(session, request.count, request.excludeKeeperIds),
            leaseMs: session.leaseMs,
          };
        }),
      commitUpload: (request, o) =>
        this.#call('commitUpload', request, o?.signal, () => {
          const session = this.#session(request.uploadId);
          for (const chunk of request.sealed) session.sealed.set(chunk.chunkId, chunk);
          const outcomes = request.files.map((file) => {
            try {
              this.#checkTarget(file.path, file.appendToVersion ?? file.expectedVersion, file.createParents);
            } catch (error) {
              if (request.skipRefused) return error as HoldfastError;
              throw error;
            }
            let sizeBytes = 0;
            for (const { chunkId, chunkOffset, lengthBytes } of file.extents) {
              const sealed = session.sealed.get(chunkId);
              const fits = session.chunkIds.has(chunkId) && chunkOffset + lengthBytes <= sealed!.lengthBytes;
              const inOrder = request.files.length > 1 || sealed?.fileOffset === sizeBytes;
              if (!fits || sealed!.receipts.length < session.minWrite || !inOrder) {
                throw new HoldfastError('INVALID_ARGUMENT', `extent ${chunkId} does not fit`);
              }
              sizeBytes += lengthBytes;
            }
            if (sizeBytes !== file.sizeBytes)
              throw new HoldfastError('INVALID_ARGUMENT', 'sizes do not add up');
            const digest = file.contentDigest?.toString('hex');
            const before = this.versions.get(file.appendToVersion ?? 0);
            return this.#show(
              file.path,
              sizeBytes + (before?.entry.sizeBytes ?? 0),
              [...(before?.extents ?? []), ...file.extents],
              file.attributes,
              session.pieces,
              digest,
            );
          });
          session.state = 'committed';
          return outcomes.map((entry) => {
            if (HoldfastError.is(entry)) return entry;
            const { path, version, sizeBytes, durability } = entry;
            return { path, version, sizeBytes, durability: durability! };
          });
        }),
      getUpload: (uploadId, _token, o) =>
        this.#call('getUpload', uploadId, o?.signal, () => {
          const session = this.sessions.get(uploadId);
          if (!session) throw new HoldfastError('NOT_FOUND', 'no such upload');
          const { state, chunkSizeBytes, pieces, minWrite, sealed, leaseMs } = session;
          const policy = replicaPolicy({ pieces, minWrite });
          return {
            ...{ state, policy, leaseMs, chunkSizeBytes, blockSizeBytes, tokenLifetimeMs: 3_600_000 },
            ...{ sealed: [...sealed.values()], nextPageToken: '' },
          };
        }),
      abortUpload: (uploadId, o) =>
        this.#call('abortUpload', uploadId, o?.signal, () => {
          const session = this.sessions.get(uploadId);
          if (session?.state === 'committed') throw new HoldfastError('UPLOAD_CLOSED', 'it was committed');
          if (session?.state === 'open') session.state = 'aborted';
        }),
      locateChunks: (request, o) =>
        this.#call('locateChunks', request, o?.signal, () => {
          const { target, offset, lengthBytes } = request;
          const version = 'version' in target ? target.version : this.#entry(target.path).version;
          const stored = this.versions.get(version);
          if ('version' in target && version < 1) throw new HoldfastError('INVALID_ARGUMENT', 'no version');
          if (!stored && 'version' in target) throw new HoldfastError('NOT_FOUND', 'no such version');
          if (!stored) throw new HoldfastError('IS_A_DIRECTORY', 'no file');
          const { sizeBytes } = stored.entry;
          const end = lengthBytes === 0 ? sizeBytes : Math.min(sizeBytes, offset + lengthBytes);
          const all = this.locate(this.#located(stored.extents));
          const inRange = all.filter((e) => e.fileOffset < end && e.fileOffset + e.lengthBytes > offset);
          const extents = inRange.slice(0, this.locatePageSize);
          const last = extents.at(-1);
          const nextOffset = last && inRange.length > extents.length ? last.fileOffset + last.lengthBytes : 0;
          return { version, sizeBytes, extents, nextOffset };
        }),
      locateFiles: (versions, o) =>
        this.#call('locateFiles', versions, o?.signal, () =>
          versions.map((version) => {
            const stored = this.versions.get(version);
            if (!stored || stored.extents.length > limits.maxExtentsPerLocatedFile) return undefined;
            const extents = this.locate(this.#located(stored.extents));
            return { version, sizeBytes: stored.entry.sizeBytes, extents, nextOffset: 0 };
          }),
        ),
      reportBadPiece: (piece, o) =>
        this.#call('reportBadPiece', piece, o?.signal, () => void this.bad.push(piece)),
      checkCluster: (requestId, o) =>
        this.#call('checkCluster', { requestId }, o?.signal, () => (this.jobs[0] ?? runningJob).jobId),
      rebalanceCluster: (requestId, o) =>
        this.#call('rebalanceCluster', { requestId }, o?.signal, () => (this.jobs[0] ?? runningJob).jobId),
      trashUnknownPieces: (request, o) =>
        this.#call('trashUnknownPieces', request, o?.signal, () => {
          const known = this.keepers.some(({ keeperId }) => keeperId === request.keeperId);
          if (!known) throw new HoldfastError('NOT_FOUND', 'no such keeper');
          return { trashed: 12, kept: 3 };
        }),
      getJob: (jobId, o) =>
        this.#call('getJob', jobId, o?.signal, () => {
          const job = this.jobs.length > 1 ? this.jobs.shift() : this.jobs[0];
          if (job?.jobId !== jobId) throw new HoldfastError('NOT_FOUND', `no job ${jobId}`);
          return job;
        }),
      clusterStatus: (o) =>
        this.#call('clusterStatus', undefined, o?.signal, () => statusOf(this.keepers, this.status)),
      listKeepers: (o) =>
        this.#call('listKeepers', undefined, o?.signal, () => statusOf(this.keepers, this.status).keepers),
      explainEntry: (path, pageToken, o) =>
        this.#call('explainEntry', { path, pageToken }, o?.signal, () => {
          this.#entry(path);
          const from = Number(pageToken || 0);
          const next = from + this.explainPageSize;
          return {
            chunks: this.explained.slice(from, next),
            nextPageToken: next < this.explained.length ? String(next) : '',
          };
        }),
      previewKeeperLoss: (keeperIds, o) =>
        this.#call('previewKeeperLoss', keeperIds, o?.signal, () => ({ ...noLoss, ...this.loss })),
      watchEntries: (request, { signal = new AbortController().signal }) => this.#watch(request, signal),
      listEvents: ({ pageSize, pageToken, afterEventId }, o) =>
        this.#call('listEvents', { pageSize, pageToken, afterEventId }, o?.signal, () => {
          const wanted =
            afterEventId === undefined
              ? this.events.toReversed()
              : this.events.filter(({ eventId }) => eventId > afterEventId);
          const from = Number(pageToken || 0);
          const next = from + pageSize;
          return {
            events: wanted.slice(from, next),
            nextPageToken: next < wanted.length ? String(next) : '',
          };
        }),
      drainKeeper: notInThisFake,
      scrubKeepers: notInThisFake,
      listJobs: notInThisFake,
      cancelJob: notInThisFake,
      setMaintenance: notInThisFake,
      forgetKeeper: notInThisFake,
    };
  }

  #locations = 0;

  #located(extents: readonly FileExtent[]): LocatedExtent[] {
    this.#locations += 1;
    let fileOffset = 0;
    return extents.map((extent) => {
      const holders = this.keepers.filter(({ chunks }) => chunks.has(extent.chunkId));
      const chunk =
        this.#original.get(extent.chunkId) ?? holders[0]?.chunks.get(extent.chunkId) ?? Buffer.alloc(0);
      this.#original.set(extent.chunkId, Buffer.from(chunk));
      const located = {
        ...extent,
        fileOffset,
        chunkLengthBytes: chunk.length,
        chunkDigest: digestOf(chunk),
        blockSizeBytes,
        pieces: holders.map(({ keeperId, address, zone }) => ({
          pieceIndex: 0,
          keeper: { keeperId, address, zone },
          reachable: true,
        })),
        readToken: Buffer.from(`token ${this.#locations}`),
      };
      fileOffset += extent.lengthBytes;
      return located;
    });
  }

  /** The chunks as they were when first located: later corruption does not change what the tracker knows. */
  readonly #original = new Map<string, Buffer>();

  #makeKeepers(): KeeperApi {
    const find = (keeperId: string): FakeKeeper =>
      this.keepers.find((keeper) => keeper.keeperId === keeperId)!;
    const store = (keeper: FakeKeeper, chunkId: string, chunk: Buffer): Receipt => {
      keeper.chunks.set(chunkId, chunk);
      return {
        chunkId,
        pieceIndex: 0,
        keeperId: keeper.keeperId,
        storageId: keeper.keeperId,
        incarnation: 1,
        lengthBytes: chunk.length,
        digest: digestOf(chunk),
        signature: Buffer.alloc(32),
      };
    };
    return {
      writeChunk: async (head, request, runs, { signal }) => {
        const keeper = find(head.keeperId);
        this.calls.push(`write ${this.keepers.indexOf(keeper) + 1}`);
        await keeper.faults.write?.(request.chunkId, signal);
        const parts: Buffer[] = [];
        let offset = 0;
        for await (const run of runs) {
          if (signal.aborted) throw signal.reason;
          checkRun(run, offset);
          offset += run.data.length;
          // A copy, as the wire makes one: the source reuses its memory.
          parts.push(Buffer.from(joinBytes(run.data)));
        }
        const chunk = Buffer.concat(parts);
        if (chunk.length !== request.lengthBytes) throw new HoldfastError('INVALID_ARGUMENT', 'wrong length');
        const receipts = [store(keeper, request.chunkId, chunk)];
        const failures: { keeperId: string; error: HoldfastError }[] = [];
        for (const { keeperId } of request.followers) {
          const error = find(keeperId).faults.follow?.(request.chunkId);
          if (error) failures.push({ keeperId, error });
          else receipts.push(store(find(keeperId), request.chunkId, chunk));
        }
        return { receipts: keeper.faults.receipts?.(receipts) ?? receipts, failures };
      },
      readChunk: (endpoint, request, { signal }) => {
        const keeper = find(endpoint.keeperId);
        this.calls.push(`read ${this.keepers.indexOf(keeper) + 1} ${request.offset}`);
        const messages = readMessages(keeper, request, signal, this.#original.get(request.chunkId));
        return keeper.faults.read?.(messages, request, signal) ?? messages;
      },
    };
  }
}

function checkRun({ offset, checksums, data }: BlockRun, expectedOffset: number): void {
  if (offset !== expectedOffset) throw new HoldfastError('INVALID_ARGUMENT', 'blocks out of order');
  if (data.length > limits.messageDataBytes) throw new HoldfastError('LIMIT_EXCEEDED', 'a run too long');
  if (firstMismatch(data, checksums) >= 0)
    throw new HoldfastError('CHECKSUM_MISMATCH', 'a block does not match');
}

function digestOf(chunk: Buffer): Buffer {
  const table = new ChecksumTable(chunk.length);
  blockChecksums(chunk).forEach((checksum, index) => table.set(index, checksum));
  return table.digest();
}

/** Reads as a keeper does: checksums from when the chunk was stored, data as it is on the disk now. */
async function* readMessages(
  keeper: FakeKeeper,
  { chunkId, offset, lengthBytes }: ReadChunkRequest,
  signal: AbortSignal,
  original: Buffer | undefined,
): AsyncGenerator<PieceMessage, void, undefined> {
  const chunk = keeper.chunks.get(chunkId);
  if (!chunk) throw new HoldfastError('NOT_FOUND', `no piece of ${chunkId}`);
  const stored = original ?? chunk;
  yield { kind: 'header', lengthBytes: stored.length, blockSizeBytes, digest: digestOf(stored) };
  const end = lengthBytes === 0 ? chunk.length : offset + lengthBytes;
  // Small runs, so that failures can come in the middle.
  const runBytes = 2 * blockSizeBytes;
  for (let at = Math.floor(offset / blockSizeBytes) * blockSizeBytes; at < end; at += runBytes) {
    if (signal.aborted) throw signal.reason;
    const until = Math.min(at + runBytes, Math.ceil(end / blockSizeBytes) * blockSizeBytes, chunk.length);
    yield {
      kind: 'blocks',
      run: {
        offset: at,
        checksums: blockChecksums(stored.subarray(at, until)),
        data: Buffer.from(chunk.subarray(at, until)),
      },
    };
  }
}
