/**
 * The tracker's and the keepers' messages as the core's types, with every check of form. What fails here is the
 * peer's fault, so it is INTERNAL and names the peer, not INVALID_ARGUMENT as the same check in a server.
 */
import type {
  ChunkAllocationOutput,
  CommittedFileOutput,
  DurabilityOutput,
  EntryOutput,
  GetClusterStatusResponseOutput,
  JobOutput,
  KeeperStatusOutput,
  LocatedExtentOutput,
  PieceLocationOutput,
  GetUploadResponseOutput,
  TrashedVersionOutput,
} from '@holdfast/proto';
import { HoldfastError, checkId, limits, splitPath } from '@holdfast/shared';
import {
  checkAtMost,
  checkBlockSize,
  checkDigest,
  checkInteger,
  checkPresent,
  fromErrorDetail,
  readAuthority,
  readEndpoint,
  readPolicy,
  wireText,
} from '@holdfast/shared/grpc';
import type { ClusterStatus, KeeperStatus } from '../ports/cluster-status.js';
import type { Job } from '../ports/jobs.js';
import type {
  ChunkAllocation,
  CommittedFile,
  Durability,
  Entry,
  FileAttributes,
  FileVersion,
  LocatedExtent,
  PieceLocation,
  TrashedVersion,
  UploadPage,
} from '../ports/tracker-api.js';
import { readKeeperState, readRepairStatus, readScrubProgress } from './inspection-answers.js';

/** Reads an answer of `peer`; what it throws says that the answer was malformed. */
export function answerOf<T>(peer: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new HoldfastError('INTERNAL', `${peer} sent a malformed answer: ${reason}`, {
      cause: error,
      remedy: 'Use a client and servers of the same version.',
    });
  }
}

export function readEntry(message: EntryOutput | null | undefined): Entry {
  const entry = checkPresent(message, 'entry');
  splitPath(entry.path);
  const isFile = entry.type === 'ENTRY_TYPE_FILE';
  if (!isFile && entry.type !== 'ENTRY_TYPE_DIRECTORY')
    throw new Error(`entry.type is ${String(entry.type)}`);
  return {
    path: entry.path,
    type: isFile ? 'file' : 'directory',
    sizeBytes: checkInteger(entry.sizeBytes, 'entry.size_bytes'),
    version: checkInteger(entry.version, 'entry.version', isFile ? 1 : 0),
    createdAtUnixMs: checkInteger(
      entry.createdAtUnixMs,
      'entry.created_at_unix_ms',
      -Number.MAX_SAFE_INTEGER,
    ),
    attributes: readAttributes(entry.attributes),
    ...(isFile && entry.policy && { policy: readPolicy(entry.policy) }),
    ...(entry.contentDigest.length > 0 && {
      contentDigest: checkDigest(entry.contentDigest, 'entry.content_digest').toString('hex'),
    }),
    ...(entry.durability && { durability: readDurability(entry.durability) }),
  };
}

/** The entry at `path`, which was asked for: a word about another one is none about it. */
export function readEntryAt(path: string, message: EntryOutput | null | undefined): Entry {
  const entry = readEntry(message);
  if (entry.path === path) return entry;
  throw new Error(`it is about ${JSON.stringify(entry.path)}, not about ${JSON.stringify(path)}`);
}

function readAttributes(message: EntryOutput['attributes']): FileAttributes {
  const { modifiedAtUnixMs, mode } = message ?? {};
  return {
    ...(modifiedAtUnixMs !== undefined && {
      modifiedAtUnixMs: checkInteger(modifiedAtUnixMs, 'modified_at_unix_ms', -Number.MAX_SAFE_INTEGER),
    }),
    ...(mode !== undefined && { mode: checkInteger(mode, 'mode', 0, 0o7777) }),
  };
}

function readDurability(message: DurabilityOutput | null | undefined): Durability {
  const { chunks, fewestPieces, policyPieces, chunksBelowPolicy } = checkPresent(message, 'durability');
  return { chunks, fewest: fewestPieces, wanted: policyPieces, chunksBelowPolicy };
}

/** What became of `asked`: shown as it was asked for, or, where that was allowed, left out and why. */
export function readCommitted(
  asked: Pick<FileVersion, 'path' | 'sizeBytes' | 'appendToVersion'>,
  mayBeRefused: boolean,
  { path, version, sizeBytes, durability, error }: CommittedFileOutput,
): CommittedFile | HoldfastError {
  if (error && mayBeRefused) return fromErrorDetail(error);
  // An append tells of the whole.
  const isLength =
    asked.appendToVersion === undefined ? sizeBytes === asked.sizeBytes : sizeBytes >= asked.sizeBytes;
  if (error || path !== asked.path || !isLength) {
    throw new Error(`it does not tell of ${asked.sizeBytes} bytes at ${JSON.stringify(asked.path)}`);
  }
  return {
    path,
    version: checkInteger(version, 'version', 1),
    sizeBytes: checkInteger(sizeBytes, 'size_bytes'),
    durability: readDurability(durability),
  };
}

export function readTrashedVersion(message: TrashedVersionOutput): TrashedVersion {
  const { path, version, sizeBytes, trashedAtUnixMs, expiresInMs, replaced } = message;
  splitPath(path);
  return {
    path,
    version: checkInteger(version, 'version', 1),
    sizeBytes: checkInteger(sizeBytes, 'size_bytes'),
    trashedAtUnixMs: checkInteger(trashedAtUnixMs, 'trashed_at_unix_ms', -Number.MAX_SAFE_INTEGER),
    expiresInMs: checkInteger(expiresInMs, 'expires_in_ms'),
    replaced,
  };
}

export function readAllocations(messages: readonly ChunkAllocationOutput[]): ChunkAllocation[] {
  return checkAtMost(messages, limits.maxAllocateCount, 'allocations').map((message) => {
    const keepers = checkAtMost(message.keepers, limits.maxPieces, 'allocation.keepers');
    if (keepers.length === 0) throw new Error('an allocation without keepers');
    return {
      chunkId: checkId(message.chunkId, 'allocation.chunk_id'),
      keepers: keepers.map((keeper) => readEndpoint(keeper, 'allocation.keepers')),
      // A copy: the field is a slice of the whole answer.
      writeToken: Buffer.from(message.writeToken),
    };
  });
}

const uploadStates = {
  UPLOAD_STATE_OPEN: 'open',
  UPLOAD_STATE_COMMITTED: 'committed',
  UPLOAD_STATE_ABORTED: 'aborted',
  UPLOAD_STATE_UNSPECIFIED: undefined,
} as const;

export function readUploadPage(message: GetUploadResponseOutput): UploadPage {
  const state = (uploadStates as Record<string, UploadPage['state'] | undefined>)[String(message.state)];
  if (state === undefined) throw new Error(`state is ${String(message.state)}`);
  return {
    state,
    policy: readPolicy(message.policy),
    leaseMs: checkInteger(message.leaseMs, 'lease_ms', 1),
    chunkSizeBytes: checkInteger(message.chunkSizeBytes, 'chunk_size_bytes', 1, limits.maxChunkSizeBytes),
    blockSizeBytes: checkBlockSize(message.blockSizeBytes),
    // A tracker of before this field has tokens of this life at least.
    tokenLifetimeMs: checkInteger(message.tokenLifetimeMs || 60_000, 'token_lifetime_ms', 1),
    sealed: checkAtMost(message.sealed, limits.maxSealedPerCall, 'sealed').map((chunk) => ({
      chunkId: checkId(chunk.chunkId, 'sealed.chunk_id'),
      lengthBytes: checkInteger(chunk.length, 'sealed.length', 1, limits.maxChunkSizeBytes),
      digest: checkDigest(chunk.digest, 'sealed.digest'),
      fileOffset: checkInteger(chunk.fileOffset, 'sealed.file_offset'),
      receipts: [],
    })),
    nextPageToken: message.nextPageToken,
  };
}

export function readLocatedExtent(message: LocatedExtentOutput): LocatedExtent {
  const extent = checkPresent(message.extent, 'extent');
  const chunkLengthBytes = checkInteger(message.chunkLength, 'chunk_length', 1, limits.maxChunkSizeBytes);
  const blockSizeBytes = checkBlockSize(message.blockSizeBytes);
  return {
    chunkId: checkId(extent.chunkId, 'extent.chunk_id'),
    chunkOffset: checkInteger(extent.chunkOffset, 'extent.chunk_offset', 0, chunkLengthBytes),
    lengthBytes: checkInteger(extent.length, 'extent.length', 1, chunkLengthBytes),
    fileOffset: checkInteger(message.fileOffset, 'file_offset'),
    chunkLengthBytes,
    chunkDigest: checkDigest(message.chunkDigest, 'chunk_digest'),
    blockSizeBytes,
    pieces: readPieceLocations(message.pieces),
    readToken: Buffer.from(message.readToken),
  };
}

/** As many as there can be: each that is dead costs whoever reads seconds. The tracker names the best ones first. */
export function readPieceLocations(messages: readonly PieceLocationOutput[]): PieceLocation[] {
  return messages.slice(0, limits.maxPieces).map(readPieceLocation);
}

function readPieceLocation(message: PieceLocationOutput): PieceLocation {
  return {
    pieceIndex: checkInteger(message.pieceIndex, 'piece_index', 0, limits.maxPieces - 1),
    keeper: readEndpoint(message.keeper, 'piece.keeper'),
    reachable: message.reachable,
  };
}

export function readKeeperStatus(message: KeeperStatusOutput): KeeperStatus {
  const { keeperId, address, zone } = readEndpoint(message.keeper, 'keeper');
  const { totalBytes = 0, usedBytes = 0, freeBytes = 0, trashBytes = 0 } = message.capacity ?? {};
  return {
    keeperId,
    address,
    zone,
    state: readKeeperState(message.state),
    totalBytes,
    usedBytes,
    freeBytes,
    trashBytes,
    pieces: message.pieces,
    ...(message.lastHeartbeatAgeMs !== undefined && { lastHeartbeatAgeMs: message.lastHeartbeatAgeMs }),
    softwareVersion: wireText(message.softwareVersion),
    reported: message.reported,
    storageError: wireText(message.storageError),
    draining: message.draining,
    identityConflict: wireText(message.identityConflict),
    ...(message.scrub && { scrub: readScrubProgress(message.scrub) }),
  };
}

/** A chunk is to have one of these numbers of pieces, and has as many, or some more while one moves: 16 times 17 and room. */
const maxPieceCounts = 500;

export function readClusterStatus(message: GetClusterStatusResponseOutput): ClusterStatus {
  const { clusterId, epoch } = readAuthority(message.authority);
  return {
    summary: wireText(message.summary),
    clusterId,
    trackerEpoch: epoch,
    trackerVersion: wireText(message.softwareVersion),
    metadataRegressed: message.metadataRegressed,
    defaultPolicy: readPolicy(message.defaultPolicy),
    files: message.files,
    directories: message.directories,
    logicalBytes: message.logicalBytes,
    chunks: message.chunks,
    chunksBelowPolicy: message.chunksBelowPolicy,
    chunksUnreadable: message.chunksUnreadable,
    openUploads: message.openUploads,
    repairsInFlight: message.repairsInFlight,
    piecesToReclaim: message.piecesToReclaim,
    pieceCounts: checkAtMost(message.pieceCounts, maxPieceCounts, 'piece_counts').map((pieceCount) => ({
      ...pieceCount,
    })),
    repair: readRepairStatus(message.repair),
    reclaim: { ...checkPresent(message.reclaim, 'reclaim') },
    ...(message.scrub && { scrub: readScrubProgress(message.scrub) }),
    chunksBadlyPlaced: message.chunksBadlyPlaced,
    keepers: message.keepers.map(readKeeperStatus),
  };
}

const jobKinds: Readonly<Record<string, Job['kind']>> = {
  JOB_KIND_DRAIN: 'drain',
  JOB_KIND_REBALANCE: 'rebalance',
  JOB_KIND_SCRUB: 'scrub',
  JOB_KIND_CHECK: 'check',
};

const jobStates: Readonly<Record<string, Job['state']>> = {
  JOB_STATE_RUNNING: 'running',
  JOB_STATE_DONE: 'done',
  JOB_STATE_CANCELLED: 'cancelled',
  JOB_STATE_FAILED: 'failed',
};

export function readJobId({ jobId }: { readonly jobId: string }): string {
  return checkId(jobId, 'job_id');
}

export function readJob(message: JobOutput | null | undefined): Job {
  const job = checkPresent(message, 'job');
  const { endedAtUnixMs, remainingMs } = job;
  return {
    jobId: readJobId(job),
    kind: jobKinds[job.kind] ?? 'unknown',
    state: jobStates[job.state] ?? 'unknown',
    keeperIds: job.keeperIds.map((keeperId) => checkId(keeperId, 'job.keeper_ids')),
    startedAtUnixMs: job.startedAtUnixMs,
    ...(endedAtUnixMs !== undefined && { endedAtUnixMs }),
    done: checkInteger(job.done, 'job.done'),
    expected: checkInteger(job.expected, 'job.expected'),
    doneBytes: checkInteger(job.doneBytes, 'job.done_bytes'),
    ...(remainingMs !== undefined && { remainingMs: checkInteger(remainingMs, 'job.remaining_ms') }),
    text: wireText(job.text),
    findings: job.findings.map(({ invariant, subject, text }) => ({
      invariant: wireText(invariant),
      subject: wireText(subject),
      text: wireText(text),
    })),
    findingsTotal: checkInteger(job.findingsTotal, 'job.findings_total'),
  };
}

/** The job that was asked for. */
export function readJobOf(jobId: string, message: JobOutput | null | undefined): Job {
  const job = readJob(message);
  if (job.jobId === jobId) return job;
  throw new Error(`it is about the job ${job.jobId}, not about ${jobId}`);
}
