/** The tracker, as a keeper calls it. grpc/ implements it; tests may too. */
import type { Authority, HoldfastError, KeeperEndpoint, Receipt } from '@holdfast/shared';
import type { Capacity } from '../store/chunk-store.js';
import type { PieceKey } from '../store/piece.js';
import type { OfferedAuthority } from './authority-watch.js';

/** Which start of which keeper on which storage speaks. */
export interface KeeperStart {
  readonly keeperId: string;
  readonly storageId: string;
  readonly incarnation: number;
}

export interface PieceSummary extends PieceKey {
  readonly lengthBytes: number;
  readonly digest: Buffer;
}

export interface RegisterRequest extends KeeperStart {
  /** '' for a storage that never belonged to a cluster. */
  readonly clusterId: string;
  readonly address: string;
  readonly zone: string;
  readonly capacity: Capacity;
  readonly witnessed: Authority | undefined;
}

export interface RegisterAnswer {
  readonly authority: OfferedAuthority;
  readonly heartbeatIntervalMs: number;
  readonly leaseMs: number;
  readonly tokenKey: Buffer;
  readonly receiptKey: Buffer;
}

/** As ScrubProgress in the contract. */
export interface ScrubProgress {
  readonly scannedPieces: number;
  readonly expectedPieces: number;
  readonly scannedBytes: number;
  readonly expectedBytes: number;
  readonly corruptPieces: number;
  readonly unreadPieces: number;
  readonly cachedPieces: number;
  readonly throughChunkId: string;
  readonly startedAtUnixMs: number;
  readonly previousStartedAtUnixMs: number | null;
  readonly rounds: number;
  readonly taskId: string;
}

/** A piece that was found damaged, unreadable or gone. */
export interface BadPiece extends PieceKey {
  readonly error: HoldfastError;
}

export interface HeartbeatRequest extends KeeperStart {
  readonly capacity: Capacity;
  readonly stored: readonly PieceSummary[];
  readonly activeStreams: number;
  readonly freeTaskSlots: number;
  readonly stopping: boolean;
  readonly storageError: HoldfastError | undefined;
  readonly scrub: ScrubProgress;
  readonly badPieces: readonly BadPiece[];
}

export interface HeartbeatAnswer {
  readonly authority: OfferedAuthority;
  readonly leaseMs: number;
  readonly tasks: readonly KeeperTask[];
  /** Set when the tracker wants another full report: the id of the wish; else ''. */
  readonly wantedReport: string;
}

export interface FetchTask extends PieceKey {
  readonly kind: 'fetch';
  readonly lengthBytes: number;
  readonly digest: Buffer;
  readonly blockSizeBytes: number;
  /** In the order to try. */
  readonly sources: readonly KeeperEndpoint[];
  readonly readToken: Buffer;
}

interface TrashTask {
  readonly kind: 'trash';
  readonly chunkIds: readonly string[];
}

interface VerifyTask extends PieceKey {
  readonly kind: 'verify';
  readonly digest: Buffer;
}

interface ScrubTask {
  readonly kind: 'scrub';
}

/** One that this version does not know, or that makes no sense. */
interface UnknownTask {
  readonly kind: 'unknown';
  readonly error: HoldfastError;
}

export interface KeeperTask {
  readonly taskId: string;
  readonly action: FetchTask | TrashTask | VerifyTask | ScrubTask | UnknownTask;
}

export interface TaskResult {
  readonly error?: HoldfastError;
  readonly receipt?: Receipt;
  readonly trashedChunkIds?: readonly string[];
}

export interface ReportPage extends KeeperStart {
  readonly reportId: string;
  readonly page: number;
  readonly pieces: readonly PieceSummary[];
  readonly last: boolean;
  /** The wish that the report answers, or ''. */
  readonly wantedReport: string;
}

export interface LinkOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Every call rejects with a HoldfastError: the tracker's, or UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED. */
export interface TrackerLink {
  register(request: RegisterRequest, options: LinkOptions): Promise<RegisterAnswer>;
  heartbeat(request: HeartbeatRequest, options: LinkOptions): Promise<HeartbeatAnswer>;
  reportPieces(page: ReportPage, options: LinkOptions): Promise<OfferedAuthority>;
  completeTask(
    start: KeeperStart,
    taskId: string,
    result: TaskResult,
    options: LinkOptions,
  ): Promise<OfferedAuthority>;
}
