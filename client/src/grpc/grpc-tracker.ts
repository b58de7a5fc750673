/**
 * The tracker over gRPC: one attempt a call, under a deadline. With several addresses it stays with the one that
 * answers and goes on to the next when it does not; a repetition then meets another tracker.
 */
import { type SealedChunk as SealedChunkMessage, trackerV1 } from '@holdfast/proto';
import { checkId, hasCode, limits } from '@holdfast/shared';
import {
  type CallableMethod,
  type ChannelPool,
  callServerStream,
  callUnary,
  checkBlockSize,
  checkInteger,
  checkPresent,
  readPolicy,
  toErrorDetail,
  writeReceipt,
} from '@holdfast/shared/grpc';
import type { CallOptions } from '../ports/call-options.js';
import type {
  AllocateChunksRequest,
  BeginUploadRequest,
  CommitUploadRequest,
  FileVersion,
  SealedChunk,
  TrackerApi,
} from '../ports/tracker-api.js';
import type { WatchApi } from '../ports/watch.js';
import {
  answerOf,
  readAllocations,
  readClusterStatus,
  readCommitted,
  readEntry,
  readEntryAt,
  readJob,
  readKeeperStatus,
  readJobId,
  readJobOf,
  readLocatedExtent,
  readTrashedVersion,
  readUploadPage,
} from './answers.js';
import { readFileLocations } from './file-locations.js';
import { readEvent, readExplainedChunk, readLossPreview } from './inspection-answers.js';
import { readWatchMessage } from './watch-answers.js';

/** Metadata: a healthy tracker answers in milliseconds, and one that syncs slowly within seconds. */
const metadataDeadlineMs = 10_000;

const namespaceService = trackerV1.NamespaceService.service;
const uploadService = trackerV1.UploadService.service;
const locationService = trackerV1.ChunkLocationService.service;
const clusterService = trackerV1.ClusterService.service;

/** A tracker at any of `addresses` (HOST:PORT). */
export function createGrpcTracker(pool: ChannelPool, addresses: readonly string[]): TrackerApi & WatchApi {
  let turn = 0;

  /** One attempt; `read` turns the answer into the core's words. */
  async function call<Request, Response, Result>(
    method: CallableMethod<Request, Response>,
    request: Request,
    options: CallOptions | undefined,
    read: (response: Response) => Result,
  ): Promise<Result> {
    const mine = turn;
    const address = addresses[mine % addresses.length] ?? '';
    const peer = `tracker ${address}`;
    const { signal, deadlineMs = metadataDeadlineMs } = options ?? {};
    try {
      const response = await callUnary(pool.get(address), peer, method, request, { signal, deadlineMs });
      return answerOf(peer, () => read(response));
    } catch (error) {
      moveOn(error, mine);
      throw error;
    }
  }

  /** The messages of one call that streams, each through `read`. */
  async function* stream<Request, Response, Result>(
    method: CallableMethod<Request, Response>,
    request: Request,
    options: CallOptions & { readonly deadlineMs: number },
    read: (response: Response) => Result,
  ): AsyncGenerator<Result, void, undefined> {
    const mine = turn;
    const address = addresses[mine % addresses.length] ?? '';
    const peer = `tracker ${address}`;
    try {
      for await (const response of callServerStream(pool.get(address), peer, method, request, options)) {
        yield answerOf(peer, () => read(response));
      }
    } catch (error) {
      moveOn(error, mine);
      throw error;
    }
  }

  /** Goes on to the next address. Calls side by side fail together and move on once. */
  function moveOn(error: unknown, mine: number): void {
    if (hasCode(error, 'UNAVAILABLE', 'DEADLINE_EXCEEDED') && turn === mine) turn += 1;
  }

  return {
    getEntry: (path, options) =>
      call(namespaceService.GetEntry, { path }, options, ({ entry }) => readEntryAt(path, entry)),
    listEntries: (path, pageToken, options) =>
      call(namespaceService.ListEntries, { path, pageToken }, options, (page) => ({
        entries: page.entries.map(readEntry),
        nextPageToken: page.nextPageToken,
      })),
    createDirectory: (request, options) =>
      call(namespaceService.CreateDirectory, request, options, ({ entry }) =>
        readEntryAt(request.path, entry),
      ),
    moveEntry: (request, options) =>
      call(namespaceService.MoveEntry, defined(request), options, ({ entry }) =>
        readEntryAt(request.destinationPath, entry),
      ),
    copyEntry: (request, options) =>
      call(namespaceService.CopyEntry, defined(request), options, ({ entry }) =>
        readEntryAt(request.destinationPath, entry),
      ),
    deleteEntry: (request, options) =>
      call(namespaceService.DeleteEntry, defined(request), options, ({ deletedEntries }) => deletedEntries),
    listTrash: (path, pageToken, options) =>
      call(namespaceService.ListTrash, { path, pageToken }, options, (page) => ({
        versions: page.versions.map(readTrashedVersion),
        nextPageToken: page.nextPageToken,
      })),
    restoreEntry: (request, options) =>
      call(namespaceService.RestoreEntry, request, options, ({ entry }) =>
        readEntryAt(request.destinationPath, entry),
      ),
    emptyTrash: (request, options) =>
      call(namespaceService.EmptyTrash, request, options, ({ versions, bytes }) => ({ versions, bytes })),
    watchEntries: (request, options) =>
      stream(namespaceService.WatchEntries, request, options, readWatchMessage),

    beginUpload: (request, options) =>
      call(uploadService.BeginUpload, beginMessage(request), options, (session) => ({
        uploadId: checkId(session.uploadId, 'upload_id'),
        leaseMs: checkInteger(session.leaseMs, 'lease_ms', 1),
        policy: readPolicy(session.policy),
        chunkSizeBytes: checkInteger(session.chunkSizeBytes, 'chunk_size_bytes', 1, limits.maxChunkSizeBytes),
        blockSizeBytes: checkBlockSize(session.blockSizeBytes),
        allocations: readAllocations(session.allocations),
        tokenLifetimeMs: checkInteger(session.tokenLifetimeMs, 'token_lifetime_ms', 1),
      })),
    allocateChunks: (request, options) =>
      call(uploadService.AllocateChunks, allocateMessage(request), options, (answer) => ({
        allocations: readAllocations(answer.allocations),
        leaseMs: checkInteger(answer.leaseMs, 'lease_ms', 1),
      })),
    commitUpload: (request, options) =>
      call(uploadService.CommitUpload, commitMessage(request), options, ({ files }) => {
        if (files.length !== request.files.length) throw new Error(`it tells of ${files.length} files`);
        return request.files.map((asked, index) =>
          readCommitted(asked, request.skipRefused, checkPresent(files[index], 'file')),
        );
      }),
    getUpload: (uploadId, pageToken, options) =>
      call(uploadService.GetUpload, { uploadId, pageToken }, options, readUploadPage),
    abortUpload: (uploadId, options) =>
      call(uploadService.AbortUpload, { uploadId }, options, () => undefined),

    locateChunks: ({ target, offset, lengthBytes }, options) =>
      call(locationService.LocateChunks, { ...target, offset, length: lengthBytes }, options, (page) => ({
        version: checkInteger(page.version, 'version', 1),
        sizeBytes: checkInteger(page.sizeBytes, 'size_bytes'),
        extents: page.extents.map(readLocatedExtent),
        nextOffset: checkInteger(page.nextOffset, 'next_offset'),
      })),
    locateFiles: (versions, options) =>
      call(locationService.LocateFiles, { versions: [...versions] }, options, readFileLocations),
    reportBadPiece: ({ error, ...piece }, options) =>
      call(
        locationService.ReportBadPiece,
        { ...piece, error: toErrorDetail(error) },
        options,
        () => undefined,
      ),

    clusterStatus: (options) => call(clusterService.GetClusterStatus, {}, options, readClusterStatus),
    checkCluster: (requestId, options) =>
      call(clusterService.CheckCluster, { requestId }, options, readJobId),
    trashUnknownPieces: (request, options) =>
      call(clusterService.TrashUnknownPieces, request, options, ({ trashedPieces, keptPieces }) => ({
        trashed: trashedPieces,
        kept: keptPieces,
      })),
    listKeepers: (options) =>
      call(clusterService.ListKeepers, {}, options, ({ keepers }) => keepers.map(readKeeperStatus)),
    explainEntry: (path, pageToken, options) =>
      call(clusterService.ExplainEntry, { path, pageToken }, options, ({ chunks, nextPageToken }) => ({
        chunks: chunks.map(readExplainedChunk),
        nextPageToken,
      })),
    previewKeeperLoss: (keeperIds, options) =>
      call(clusterService.PreviewKeeperLoss, { keeperIds: [...keeperIds] }, options, readLossPreview),
    listEvents: ({ afterEventId, ...request }, options) => {
      const message = { ...request, ...(afterEventId !== undefined && { afterEventId }) };
      return call(clusterService.ListEvents, message, options, ({ events, nextPageToken }) => ({
        events: events.map(readEvent),
        nextPageToken,
      }));
    },
    drainKeeper: (keeperId, requestId, options) =>
      call(clusterService.DrainKeeper, { keeperId, requestId }, options, readJobId),
    rebalanceCluster: (requestId, options) =>
      call(clusterService.RebalanceCluster, { requestId }, options, readJobId),
    scrubKeepers: (keeperIds, requestId, options) =>
      call(clusterService.ScrubKeepers, { keeperIds: [...keeperIds], requestId }, options, readJobId),
    listJobs: (pageToken, options) =>
      call(clusterService.ListJobs, { pageToken }, options, (page) => ({
        jobs: page.jobs.map(readJob),
        nextPageToken: page.nextPageToken,
      })),
    getJob: (jobId, options) =>
      call(clusterService.GetJob, { jobId }, options, ({ job }) => readJobOf(jobId, job)),
    cancelJob: (jobId, options) =>
      call(clusterService.CancelJob, { jobId }, options, ({ job }) => readJobOf(jobId, job)),
    setMaintenance: (request, options) =>
      call(clusterService.SetMaintenance, request, options, () => undefined),
    forgetKeeper: (keeperId, requestId, options) =>
      call(clusterService.ForgetKeeper, { keeperId, requestId }, options, () => undefined),
  };
}

/** Absent fields instead of undefined ones: with an `optional` field the difference is the meaning. */
function defined<T extends { readonly expectedVersion?: number | undefined }>(
  request: T,
): Omit<T, 'expectedVersion'> & { expectedVersion?: number } {
  const { expectedVersion, ...rest } = request;
  return { ...rest, ...(expectedVersion !== undefined && { expectedVersion }) };
}

function beginMessage({ replicas = 0, minWrite = 0, ...request }: BeginUploadRequest) {
  const { excludeKeeperIds, ...rest } = defined(request);
  return {
    ...rest,
    excludeKeeperIds: [...excludeKeeperIds],
    ...((replicas > 0 || minWrite > 0) && {
      policy: { scheme: 'POLICY_SCHEME_REPLICAS' as const, pieces: replicas, minWrite },
    }),
  };
}

function allocateMessage({ excludeKeeperIds, sealed, ...rest }: AllocateChunksRequest) {
  return { ...rest, excludeKeeperIds: [...excludeKeeperIds], sealed: sealed.map(sealedMessage) };
}

function commitMessage({ files, sealed, ...request }: CommitUploadRequest) {
  return { ...request, files: files.map(fileMessage), sealed: sealed.map(sealedMessage) };
}

function fileMessage(version: FileVersion) {
  const { extents, contentDigest, appendToVersion, ...file } = defined(version);
  return {
    ...file,
    extents: extents.map(({ lengthBytes, ...extent }) => ({ ...extent, length: lengthBytes })),
    ...(contentDigest && { contentDigest }),
    ...(appendToVersion !== undefined && { appendToVersion }),
  };
}

function sealedMessage({ lengthBytes, receipts, ...sealed }: SealedChunk): SealedChunkMessage {
  return { ...sealed, length: lengthBytes, receipts: receipts.map(writeReceipt) };
}
