/** KeeperRegistryService: messages in, checked; core calls; messages out. */
import type {
  BadPieceOutput,
  KeeperRegistryServiceHandlers,
  KeeperTask as TaskMessage,
  PieceSummaryOutput,
  ScrubProgressOutput,
  StorageCapacityOutput,
  TrackerAuthority,
} from '@holdfast/proto';
import { HoldfastError, type KeeperEndpoint, type Logger, checkId, limits } from '@holdfast/shared';
import {
  checkAddress,
  checkAtMost,
  checkDigest,
  checkInteger,
  checkPresent,
  checkZone,
  fromErrorDetail,
  readAuthority,
  readReceipt,
  unary,
  writeAuthority,
  writeEndpoint,
} from '@holdfast/shared/grpc';
import { type TrackerIdentity, authorityOf } from '../cluster/identity.js';
import type { RegressionGuard } from '../cluster/regression.js';
import type { TokenIssuer } from '../cluster/tokens.js';
import type { KeeperCapacity, KeeperIdentity, ScrubProgress } from '../membership/keeper.js';
import type { Membership } from '../membership/membership.js';
import type { PieceSummary } from '../registry/adopt.js';
import type { BadPiece } from '../registry/bad-pieces.js';
import type { FullReports } from '../registry/full-report.js';
import type { Registry } from '../registry/registry.js';
import type { KeeperTask } from '../registry/task-board.js';
import type { TrackerSettings } from '../settings.js';
import type { MetadataStore } from '../store/metadata-store.js';

export interface RegistryServiceParts {
  readonly registry: Registry;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly reports: FullReports;
  readonly identity: TrackerIdentity;
  readonly store: MetadataStore;
  readonly tokens: TokenIssuer;
  readonly settings: TrackerSettings;
  readonly logger: Logger;
}

/** Free text from a keeper: shown to operators, so bounded. */
const maxSoftwareVersionLength = 64;

export function registryHandlers(parts: RegistryServiceParts): KeeperRegistryServiceHandlers {
  const { registry, identity, settings, logger, guard } = parts;
  const authority = (): TrackerAuthority => {
    const own = authorityOf(identity, parts.store);
    // Behind whatever a keeper has seen: not to be remembered, or the start from the newest copy would be its rival.
    const told = guard.regressed ? { ...own, transactionId: 0 } : own;
    return writeAuthority(told, parts.tokens.uptimeMs());
  };
  return {
    RegisterKeeper: unary(async (request) => {
      const keeper = readIdentity(request);
      await registry.register(
        {
          ...keeper,
          address: checkAddress(request.address),
          zone: checkZone(request.zone),
          capacity: readCapacity(request.capacity),
          softwareVersion: request.softwareVersion.slice(0, maxSoftwareVersionLength).toWellFormed(),
        },
        request.clusterId === '' ? '' : checkId(request.clusterId, 'cluster_id'),
        request.witnessed ? readAuthority(request.witnessed) : undefined,
      );
      return {
        authority: authority(),
        heartbeatIntervalMs: settings.heartbeatIntervalMs,
        leaseMs: settings.deadAfterMs,
        tokenKey: identity.tokenKey,
        receiptKey: identity.receiptKey(keeper.storageId),
      };
    }, logger),

    Heartbeat: unary(async (request) => {
      const stored = checkAtMost(request.stored, limits.maxStoredPerHeartbeat, 'stored').map(readSummary);
      const tasks = await registry.heartbeat(
        {
          ...readIdentity(request),
          capacity: readCapacity(request.capacity),
          activeStreams: checkInteger(request.activeStreams, 'active_streams'),
          freeTaskSlots: checkInteger(request.freeTaskSlots, 'free_task_slots'),
          stopping: request.stopping,
          storageError: request.storageError
            ? fromErrorDetail(request.storageError).message || 'unknown error'
            : null,
          scrub: request.scrub ? readScrub(request.scrub) : undefined,
        },
        stored,
        checkAtMost(request.badPieces, limits.maxBadPiecesPerHeartbeat, 'bad_pieces').map(readBadPiece),
      );
      const messages = tasks.map((task) => writeTask(task, parts));
      return {
        authority: authority(),
        leaseMs: settings.deadAfterMs,
        tasks: messages,
        wantedReport: parts.reports.askedOf(request.keeperId),
      };
    }, logger),

    ReportPieces: unary(async (request) => {
      const keeper = readIdentity(request);
      await registry.report(keeper, {
        ...keeper,
        reportId: checkId(request.reportId, 'report_id'),
        page: checkInteger(request.page, 'page'),
        pieces: checkAtMost(request.pieces, limits.maxPiecesPerReportPage, 'pieces').map(readSummary),
        last: request.last,
        wantedReport: request.wantedReport === '' ? '' : checkId(request.wantedReport, 'wanted_report'),
      });
      return { authority: authority() };
    }, logger),

    CompleteTask: unary(async (request) => {
      const trashed = checkAtMost(request.trashedChunkIds, limits.maxChunksPerTrashTask, 'trashed_chunk_ids');
      await registry.completeTask({
        identity: readIdentity(request),
        taskId: checkId(request.taskId, 'task_id'),
        error: request.error ? fromErrorDetail(request.error) : undefined,
        receipt: request.receipt ? readReceipt(request.receipt) : undefined,
        trashedChunkIds: trashed.map((id) => checkId(id, 'trashed_chunk_ids')),
      });
      return { authority: authority() };
    }, logger),
  };
}

function readIdentity(message: { keeperId: string; storageId: string; incarnation: number }): KeeperIdentity {
  return {
    keeperId: checkId(message.keeperId, 'keeper_id'),
    storageId: checkId(message.storageId, 'storage_id'),
    incarnation: checkInteger(message.incarnation, 'incarnation'),
  };
}

function readCapacity(message: StorageCapacityOutput | null): KeeperCapacity {
  const { totalBytes, usedBytes, freeBytes, trashBytes } = checkPresent(message, 'capacity');
  return {
    totalBytes: checkInteger(totalBytes, 'capacity.total_bytes'),
    usedBytes: checkInteger(usedBytes, 'capacity.used_bytes'),
    freeBytes: checkInteger(freeBytes, 'capacity.free_bytes'),
    trashBytes: checkInteger(trashBytes, 'capacity.trash_bytes'),
  };
}

function readScrub(message: ScrubProgressOutput): ScrubProgress {
  const count = (value: number, name: string): number => checkInteger(value, `scrub.${name}`);
  const time = (value: number, name: string): number =>
    checkInteger(value, `scrub.${name}`, Number.MIN_SAFE_INTEGER);
  const { throughChunkId, startedAtUnixMs, previousStartedAtUnixMs, taskId } = message;
  return {
    scannedPieces: count(message.scannedPieces, 'scanned_pieces'),
    expectedPieces: count(message.expectedPieces, 'expected_pieces'),
    scannedBytes: count(message.scannedBytes, 'scanned_bytes'),
    expectedBytes: count(message.expectedBytes, 'expected_bytes'),
    corruptPieces: count(message.corruptPieces, 'corrupt_pieces'),
    unreadPieces: count(message.unreadPieces, 'unread_pieces'),
    cachedPieces: count(message.cachedPieces, 'cached_pieces'),
    throughChunkId: throughChunkId === '' ? '' : checkId(throughChunkId, 'scrub.through_chunk_id'),
    ...(startedAtUnixMs !== undefined && { startedAtUnixMs: time(startedAtUnixMs, 'started_at_unix_ms') }),
    ...(previousStartedAtUnixMs !== undefined && {
      previousStartedAtUnixMs: time(previousStartedAtUnixMs, 'previous_started_at_unix_ms'),
    }),
    rounds: count(message.rounds, 'rounds'),
    taskId: taskId === '' ? '' : checkId(taskId, 'scrub.task_id'),
  };
}

function readSummary(message: PieceSummaryOutput): PieceSummary {
  if (message.pieceIndex !== 0) {
    throw new HoldfastError('INVALID_ARGUMENT', 'piece_index is 0 under replicas');
  }
  return {
    chunkId: checkId(message.chunkId, 'pieces.chunk_id'),
    lengthBytes: checkInteger(message.length, 'pieces.length', 1, limits.maxChunkSizeBytes),
    digest: checkDigest(message.digest, 'pieces.digest').toString('hex'),
  };
}

function readBadPiece({ chunkId, pieceIndex, error }: BadPieceOutput): BadPiece {
  if (pieceIndex !== 0) throw new HoldfastError('INVALID_ARGUMENT', 'piece_index is 0 under replicas');
  return {
    chunkId: checkId(chunkId, 'bad_pieces.chunk_id'),
    error: fromErrorDetail(checkPresent(error, 'bad_pieces.error')),
  };
}

function writeTask({ taskId, action }: KeeperTask, parts: RegistryServiceParts): TaskMessage {
  switch (action.kind) {
    case 'trash':
      return {
        taskId,
        trashPieces: { chunkIds: [...action.chunkIds], transactionId: action.transactionId },
      };
    case 'verify':
      return {
        taskId,
        verifyPiece: { chunkId: action.chunkId, pieceIndex: 0, digest: Buffer.from(action.digest, 'hex') },
      };
    case 'scrub':
      return { taskId, scrub: {} };
    case 'fetch':
      return {
        taskId,
        fetchPiece: {
          chunkId: action.chunkId,
          pieceIndex: 0,
          length: action.lengthBytes,
          digest: Buffer.from(action.digest, 'hex'),
          blockSizeBytes: limits.blockSizeBytes,
          sources: action.sourceKeeperIds
            .flatMap((id) => endpointOf(parts.membership, id))
            .map(writeEndpoint),
          // Made when it is handed out, so that a task that waited is not born expired.
          readToken: parts.tokens.read(action.chunkId),
        },
      };
  }
}

function endpointOf(membership: Membership, keeperId: string): KeeperEndpoint[] {
  const keeper = membership.get(keeperId);
  return keeper ? [{ keeperId, address: keeper.address, zone: keeper.zone }] : [];
}
