/**
 * The tracker over gRPC. Heartbeats have a channel of their own: a report page that is stuck must not cost the
 * lease. Answers are checked like any other input.
 */
import {
  type KeeperTaskOutput,
  type PieceSummary as PieceSummaryMessage,
  type ScrubProgress as ScrubProgressMessage,
  trackerV1,
} from '@holdfast/proto';
import { HoldfastError, checkId, isRequestId, limits } from '@holdfast/shared';
import {
  PeerChannel,
  type Transport,
  callUnary,
  checkAtMost,
  checkBlockSize,
  checkDigest,
  checkInteger,
  checkPresent,
  controlChannelOptions,
  readAuthority,
  readEndpoint,
  toErrorDetail,
  writeAuthority,
  writeReceipt,
} from '@holdfast/shared/grpc';
import type { PieceKey } from '../store/piece.js';
import type { OfferedAuthority } from '../tracker/authority-watch.js';
import type {
  HeartbeatAnswer,
  HeartbeatRequest,
  KeeperStart,
  KeeperTask,
  LinkOptions,
  PieceSummary,
  RegisterAnswer,
  RegisterRequest,
  ReportPage,
  ScrubProgress,
  TaskResult,
  TrackerLink,
} from '../tracker/tracker-link.js';
import { checkPieceIndex } from './write-order.js';

const registry = trackerV1.KeeperRegistryService.service;

/**
 * Whatever interval a keeper is told: with one word a lease, the lease is over for a moment each time, and with less for
 * good. So one may be lost, and the next one late.
 */
const leastHeartbeatsPerLease = 3;

/** A key has at least the strength of the MAC. */
function checkKey(key: Buffer, what: string): Buffer {
  if (key.length >= 16 && key.length <= 64) return Buffer.from(key);
  throw new HoldfastError('INVALID_ARGUMENT', `${what} must have 16 to 64 bytes, not ${key.length}`);
}

function writeSummary({ lengthBytes, ...piece }: PieceSummary): PieceSummaryMessage {
  return { ...piece, length: lengthBytes };
}

function writeKey({ chunkId, pieceIndex }: PieceKey): PieceKey {
  return { chunkId, pieceIndex };
}

function writeScrub({ previousStartedAtUnixMs, ...scrub }: ScrubProgress): ScrubProgressMessage {
  return { ...scrub, ...(previousStartedAtUnixMs !== null && { previousStartedAtUnixMs }) };
}

function writeCapacity(capacity: RegisterRequest['capacity']): RegisterRequest['capacity'] {
  const { totalBytes, usedBytes, freeBytes, trashBytes } = capacity;
  return { totalBytes, usedBytes, freeBytes, trashBytes };
}

function readAction(task: KeeperTaskOutput): KeeperTask['action'] {
  const { fetchPiece, trashPieces, verifyPiece, scrub } = task;
  if (fetchPiece) {
    return {
      kind: 'fetch',
      chunkId: checkId(fetchPiece.chunkId, 'chunk_id'),
      pieceIndex: checkPieceIndex(fetchPiece.pieceIndex),
      lengthBytes: checkInteger(fetchPiece.length, 'length', 1, limits.maxChunkSizeBytes),
      digest: checkDigest(fetchPiece.digest),
      blockSizeBytes: checkBlockSize(fetchPiece.blockSizeBytes),
      sources: checkAtMost(fetchPiece.sources, limits.maxPieces, 'sources').map((source) =>
        readEndpoint(source, 'source'),
      ),
      readToken: Buffer.from(fetchPiece.readToken),
    };
  }
  if (trashPieces) {
    const chunkIds = checkAtMost(trashPieces.chunkIds, limits.maxChunksPerTrashTask, 'chunk_ids');
    return { kind: 'trash', chunkIds: chunkIds.map((id) => checkId(id, 'chunk_id')) };
  }
  if (verifyPiece) {
    return {
      kind: 'verify',
      chunkId: checkId(verifyPiece.chunkId, 'chunk_id'),
      pieceIndex: checkPieceIndex(verifyPiece.pieceIndex),
      digest: checkDigest(verifyPiece.digest),
    };
  }
  if (scrub) return { kind: 'scrub' };
  throw new HoldfastError('UNIMPLEMENTED', 'this keeper does not know that kind of task');
}

/**
 * One task that makes no sense is answered so; it does not cost the others, or the lease. One whose id makes none cannot
 * be answered, and is left out.
 */
function readTasks(tasks: readonly KeeperTaskOutput[]): KeeperTask[] {
  return tasks.flatMap((task): KeeperTask[] => {
    const { taskId } = task;
    if (!isRequestId(taskId)) return [];
    try {
      return [{ taskId, action: readAction(task) }];
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      return [{ taskId, action: { kind: 'unknown', error } }];
    }
  });
}

export class GrpcTrackerLink implements TrackerLink {
  readonly #name: string;
  readonly #softwareVersion: string;
  readonly #heartbeats: PeerChannel;
  readonly #others: PeerChannel;

  /** @param address HOST:PORT of the tracker */
  constructor(address: string, softwareVersion: string, transport: Transport) {
    this.#name = `tracker ${address}`;
    this.#softwareVersion = softwareVersion;
    this.#heartbeats = new PeerChannel(address, controlChannelOptions, 1, transport);
    this.#others = new PeerChannel(address, controlChannelOptions, 1, transport);
  }

  async register(request: RegisterRequest, options: LinkOptions): Promise<RegisterAnswer> {
    const { witnessed, capacity, ...rest } = request;
    const message = {
      ...rest,
      capacity: writeCapacity(capacity),
      softwareVersion: this.#softwareVersion,
      ...(witnessed && { witnessed: writeAuthority(witnessed, 0) }),
    };
    const answer = await callUnary(this.#others, this.#name, registry.RegisterKeeper, message, options);
    const leaseMs = checkInteger(answer.leaseMs, 'lease_ms', 1);
    return {
      authority: readAuthority(answer.authority),
      heartbeatIntervalMs: Math.min(
        checkInteger(answer.heartbeatIntervalMs, 'heartbeat_interval_ms', 1),
        Math.ceil(leaseMs / leastHeartbeatsPerLease),
      ),
      leaseMs,
      tokenKey: checkKey(answer.tokenKey, 'token_key'),
      receiptKey: checkKey(answer.receiptKey, 'receipt_key'),
    };
  }

  async heartbeat(request: HeartbeatRequest, options: LinkOptions): Promise<HeartbeatAnswer> {
    const { storageError, stored, badPieces, scrub, capacity, ...rest } = request;
    const message = {
      ...rest,
      capacity: writeCapacity(capacity),
      stored: stored.map(writeSummary),
      badPieces: badPieces.map(({ error, ...piece }) => ({
        ...writeKey(piece),
        error: toErrorDetail(error),
      })),
      scrub: writeScrub(scrub),
      ...(storageError && { storageError: toErrorDetail(storageError) }),
    };
    const answer = await callUnary(this.#heartbeats, this.#name, registry.Heartbeat, message, options);
    return {
      authority: readAuthority(answer.authority),
      leaseMs: checkInteger(answer.leaseMs, 'lease_ms', 1),
      tasks: readTasks(answer.tasks),
      wantedReport: answer.wantedReport === '' ? '' : checkId(answer.wantedReport, 'wanted_report'),
    };
  }

  async reportPieces(page: ReportPage, options: LinkOptions): Promise<OfferedAuthority> {
    const message = { ...page, pieces: page.pieces.map(writeSummary) };
    const answer = await callUnary(this.#others, this.#name, registry.ReportPieces, message, options);
    return readAuthority(answer.authority);
  }

  async completeTask(
    { keeperId, storageId, incarnation }: KeeperStart,
    taskId: string,
    { error, receipt, trashedChunkIds = [] }: TaskResult,
    options: LinkOptions,
  ): Promise<OfferedAuthority> {
    const message = {
      keeperId,
      storageId,
      incarnation,
      taskId,
      trashedChunkIds: [...trashedChunkIds],
      ...(error && { error: toErrorDetail(error) }),
      ...(receipt && { receipt: writeReceipt(receipt) }),
    };
    const answer = await callUnary(this.#others, this.#name, registry.CompleteTask, message, options);
    return readAuthority(checkPresent(answer.authority, 'authority'));
  }

  close(): void {
    this.#heartbeats.close();
    this.#others.close();
  }
}
