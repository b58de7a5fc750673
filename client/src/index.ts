/**
 * Holdfast's client as a library.
 *
 * @example
 * import { connect } from '@holdfast/client';
 *
 * const client = await connect({ tracker: '127.0.0.1:7400' });
 * const { version, copies } = await client.upload('cat.jpg', '/pets/cat.jpg', { createParents: true });
 * await client.download('/pets/cat.jpg', 'copy.jpg');
 * client.close();
 */
export { type ErrorCode, HoldfastError, type Policy, hasCode } from '@holdfast/shared';
export { type ByteSource, HoldfastClient, type UploadSource } from './client.js';
export { type ConnectOptions, connect, defaultTracker } from './connect.js';
export type { DownloadOptions, DownloadResult } from './download/download.js';
export type { DownloadOutcome, FileToDownload } from './download/download-many.js';
export type { ReadFileOptions, WriteFileOptions } from './download/read-file.js';
export type { ResumeNotice, ResumeState } from './core/resume.js';
export type { ReadOptions } from './download/read-stream.js';
export type { CompareOptions, Comparison } from './local/compare.js';
export { contentDigest } from './local/content-digest.js';
export type { UploadStream } from './local/streams.js';
export type {
  CallSignal,
  CopyOptions,
  ListOptions,
  MakeDirectoryOptions,
  MoveOptions,
  RemoveOptions,
} from './namespace/namespace.js';
export type { RestoreOptions } from './namespace/trash.js';
export type { WatchOptions } from './namespace/watch.js';
export type { EntryChange } from './ports/watch.js';
export type { Job, JobFinding } from './ports/jobs.js';
export type {
  Durability,
  Entry,
  FileAttributes,
  TrashSummary,
  TrashedPieces,
  TrashedVersion,
} from './ports/tracker-api.js';
export type { EventsOptions, KeeperLossPreview } from './cluster/inspect.js';
export type {
  ClusterStatus,
  KeeperStatus,
  PieceCount,
  ReclaimStatus,
  RepairStatus,
  ScrubProgress,
} from './ports/cluster-status.js';
export type { ClusterEvent, ExplainedChunk, ExplainedPiece, LossPreview } from './ports/inspection.js';
export type { JobWaitOptions } from './cluster/jobs.js';
export type { AppendOptions } from './upload/append.js';
export type { FileToUpload, UploadManyOptions, UploadOutcome } from './upload/upload-many.js';
export type { TransferProgress, UploadOptions, UploadResult } from './upload/upload.js';
