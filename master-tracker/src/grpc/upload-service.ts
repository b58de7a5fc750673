/** UploadService: messages in, checked; core calls; messages out. */
import type {
  ChunkAllocation as AllocationMessage,
  CommittedFile as CommittedFileMessage,
  FileVersionOutput,
  SealedChunk as SealedMessage,
  SealedChunkOutput,
  UploadServiceHandlers,
} from '@holdfast/proto';
import { HoldfastError, type Logger, checkId, checkRequestId, limits, splitPath } from '@holdfast/shared';
import {
  checkAtMost,
  checkDigest,
  checkInteger,
  readPolicy,
  readReceipt,
  toErrorDetail,
  unary,
  writeEndpoint,
  writePolicy,
} from '@holdfast/shared/grpc';
import type { TrackerSettings } from '../settings.js';
import type {
  ChunkAllocation,
  CommittedFile,
  FileExtent,
  FileVersion,
  SealedChunk,
} from '../uploads/upload.js';
import type { Uploads } from '../uploads/uploads.js';
import { readAttributes, readExpectedVersion, writeDurability } from './namespace-service.js';

/** A client that excludes more than this has no keepers left to exclude. */
const maxExcluded = 1_000;

export function uploadHandlers(
  uploads: Uploads,
  settings: TrackerSettings,
  logger: Logger,
): UploadServiceHandlers {
  return {
    BeginUpload: unary(async (request) => {
      const { session, allocations } = await uploads.begin({
        names: request.path === '' ? undefined : splitPath(request.path),
        requestId: checkRequestId(request.requestId),
        policy: readPolicy(request.policy, settings.defaultPolicy),
        expectedVersion: readExpectedVersion(request.expectedVersion),
        createParents: request.createParents,
        allocateCount: readCount(request.allocateCount, 'allocate_count'),
        chunkSizeBytes: readChunkSize(request.chunkSizeBytes, settings),
        excludeKeeperIds: readExcluded(request.excludeKeeperIds),
        ...(request.leaseMs > 0 && { leaseMs: request.leaseMs }),
      });
      return {
        uploadId: session.uploadId,
        leaseMs: uploads.leaseMs(session.uploadId),
        policy: writePolicy(session.policy),
        chunkSizeBytes: session.chunkSizeBytes,
        blockSizeBytes: limits.blockSizeBytes,
        allocations: allocations.map(writeAllocation),
        tokenLifetimeMs: settings.tokenLifetimeMs,
      };
    }, logger),

    AllocateChunks: unary(async (request) => {
      const uploadId = checkId(request.uploadId, 'upload_id');
      const allocations = await uploads.allocate(
        uploadId,
        readCount(request.count, 'count'),
        readExcluded(request.excludeKeeperIds),
        readSealed(request.sealed, limits.maxSealedPerCall),
        request.leaseMs,
      );
      return { allocations: allocations.map(writeAllocation), leaseMs: uploads.leaseMs(uploadId) };
    }, logger),

    CommitUpload: unary(async (request) => {
      const files = readFiles(request.files);
      const committed = await uploads.commit(
        checkId(request.uploadId, 'upload_id'),
        checkRequestId(request.requestId),
        files,
        // Whatever fits a message: a commit may bring all its chunks at once.
        readSealed(request.sealed, limits.maxExtentsPerCommit),
        { skipRefused: request.skipRefused },
      );
      return {
        files: committed.map((file, index) => writeCommitted(request.files[index]?.path ?? '', file)),
      };
    }, logger),

    AbortUpload: unary(async ({ uploadId }) => {
      await uploads.abort(checkId(uploadId, 'upload_id'));
      return {};
    }, logger),

    GetUpload: unary(async ({ uploadId, pageSize, pageToken }) => {
      const upload = await uploads.get(
        checkId(uploadId, 'upload_id'),
        Math.min(pageSize || limits.maxSealedPerCall, limits.maxSealedPerCall),
        pageToken === '' ? '' : checkId(pageToken, 'page_token'),
      );
      return {
        state: `UPLOAD_STATE_${upload.state.toUpperCase() as Uppercase<typeof upload.state>}` as const,
        policy: writePolicy(upload.policy),
        chunkSizeBytes: upload.chunkSizeBytes,
        blockSizeBytes: limits.blockSizeBytes,
        leaseMs: uploads.leaseMs(upload.uploadId),
        sealed: upload.sealed.map(writeSealed),
        nextPageToken: upload.nextAfterChunkId ?? '',
        tokenLifetimeMs: settings.tokenLifetimeMs,
      };
    }, logger),
  };
}

function readCount(value: number, what: string): number {
  return checkInteger(value, what, 0, limits.maxAllocateCount);
}

function readChunkSize(value: number, settings: TrackerSettings): number {
  if (value === 0) return settings.defaultChunkSizeBytes;
  return checkInteger(value, 'chunk_size_bytes', limits.minChunkSizeBytes, limits.maxChunkSizeBytes);
}

function readExcluded(keeperIds: readonly string[]): string[] {
  return checkAtMost(keeperIds, maxExcluded, 'exclude_keeper_ids').map((id) =>
    checkId(id, 'exclude_keeper_ids'),
  );
}

function readSealed(messages: readonly SealedChunkOutput[], max: number): SealedChunk[] {
  return checkAtMost(messages, max, 'sealed').map((message) => ({
    chunkId: checkId(message.chunkId, 'sealed.chunk_id'),
    lengthBytes: checkInteger(message.length, 'sealed.length', 1, limits.maxChunkSizeBytes),
    digest: checkDigest(message.digest, 'sealed.digest').toString('hex'),
    fileOffset: checkInteger(message.fileOffset, 'sealed.file_offset'),
    receipts: checkAtMost(message.receipts, limits.maxPieces, 'sealed.receipts').map(readReceipt),
  }));
}

function readFiles(messages: readonly FileVersionOutput[]): FileVersion[] {
  if (messages.length === 0) throw new HoldfastError('INVALID_ARGUMENT', 'files is empty');
  checkAtMost(messages, limits.maxFilesPerCommit, 'files');
  const extents = messages.reduce((sum, message) => sum + message.extents.length, 0);
  if (extents > limits.maxExtentsPerCommit) {
    throw new HoldfastError(
      'LIMIT_EXCEEDED',
      `extents: at most ${limits.maxExtentsPerCommit} in one commit, not ${extents}`,
      { remedy: 'Use longer chunks, or commit the files in several uploads.' },
    );
  }
  return messages.map((message) => ({
    names: splitPath(message.path),
    sizeBytes: checkInteger(message.sizeBytes, 'files.size_bytes'),
    extents: message.extents.map((extent): FileExtent => ({
      chunkId: checkId(extent.chunkId, 'extents.chunk_id'),
      chunkOffset: checkInteger(extent.chunkOffset, 'extents.chunk_offset', 0, limits.maxChunkSizeBytes),
      lengthBytes: checkInteger(extent.length, 'extents.length', 1, limits.maxChunkSizeBytes),
    })),
    ...readPlace(message),
    createParents: message.createParents,
    attributes: readAttributes(message.attributes),
    contentDigest: readContentDigest(message.contentDigest),
  }));
}

/** What must be at the path, and whether it is appended to. */
function readPlace(message: FileVersionOutput): Pick<FileVersion, 'expectedVersion' | 'appendToVersion'> {
  const expectedVersion = readExpectedVersion(message.expectedVersion);
  if (message.appendToVersion === undefined) return { expectedVersion };
  if (expectedVersion !== undefined) {
    throw new HoldfastError('INVALID_ARGUMENT', 'append_to_version and expected_version exclude each other');
  }
  return { expectedVersion, appendToVersion: checkInteger(message.appendToVersion, 'append_to_version', 1) };
}

function readContentDigest(value: Buffer): string | undefined {
  return value.length === 0 ? undefined : checkDigest(value, 'files.content_digest').toString('hex');
}

function writeCommitted(path: string, file: CommittedFile): CommittedFileMessage {
  const { version, sizeBytes, durability, refused } = file;
  if (!refused) return { path, version, sizeBytes, durability: writeDurability(durability) };
  const { code, message, ...rest } = refused;
  return { path, error: toErrorDetail(new HoldfastError(code, message, rest)) };
}

function writeAllocation({ chunkId, keepers, writeToken }: ChunkAllocation): AllocationMessage {
  return { chunkId, keepers: keepers.map(writeEndpoint), writeToken };
}

function writeSealed(chunk: Omit<SealedChunk, 'receipts'>): SealedMessage {
  return {
    chunkId: chunk.chunkId,
    length: chunk.lengthBytes,
    digest: Buffer.from(chunk.digest, 'hex'),
    fileOffset: chunk.fileOffset,
  };
}
