/** The part of ClusterService that looks into a matter: one file, a loss that may come, what happened before. */
import type {
  ClusterServiceHandlers,
  Event as EventMessage,
  ExplainedChunk as ExplainedChunkMessage,
} from '@holdfast/proto';
import { HoldfastError, type Logger, checkId, splitPath } from '@holdfast/shared';
import { checkAtMost, checkInteger, unary, wireText, writeEndpoint } from '@holdfast/shared/grpc';
import type { ExplainPosition, ExplainedChunk, ExplainedPiece, Explainer } from '../cluster/explain.js';
import type { LossPreviewer } from '../cluster/loss.js';
import type { ClusterEvent, EventLog } from '../events/event-log.js';
import { writeEntry } from './namespace-service.js';

export interface InspectionParts {
  readonly explainer: Explainer;
  readonly losses: LossPreviewer;
  readonly events: EventLog;
  readonly logger: Logger;
}

const defaultPageSize = 100;
/** An explained chunk is about 1 KB with three pieces, and 6 KB with sixteen. */
const maxPageSize = 1_000;
/** In one question about losses; they are a list in a query. */
const maxKeepersPerQuestion = 1_000;

type InspectionHandlers = Pick<ClusterServiceHandlers, 'ExplainEntry' | 'PreviewKeeperLoss' | 'ListEvents'>;

export function inspectionHandlers({
  explainer,
  losses,
  events,
  logger,
}: InspectionParts): InspectionHandlers {
  return {
    ExplainEntry: unary(async ({ path, pageSize, pageToken }) => {
      const page = await explainer.explain(splitPath(path), sizeOf(pageSize), readPosition(pageToken));
      const { next } = page;
      return {
        ...(page.entry && { entry: writeEntry(page.entry) }),
        chunks: page.chunks.map(writeChunk),
        nextPageToken: next ? writeToken(next.version, next.fileOffset) : '',
      };
    }, logger),

    PreviewKeeperLoss: unary(async ({ keeperIds }) => {
      if (keeperIds.length === 0) throw new HoldfastError('INVALID_ARGUMENT', 'keeper_ids is empty');
      const ids = checkAtMost(keeperIds, maxKeepersPerQuestion, 'keeper_ids');
      const preview = await losses.preview(ids.map((keeperId) => checkId(keeperId, 'keeper_ids')));
      return { ...preview, lostPaths: [...preview.lostPaths], summary: wireText(preview.summary) };
    }, logger),

    ListEvents: unary(async ({ pageSize, pageToken, afterEventId }) => {
      const size = sizeOf(pageSize);
      const [from] = readToken(pageToken, 1) ?? [];
      const found =
        afterEventId === undefined
          ? await events.latest(size + 1, from ?? Infinity)
          : await events.after(size + 1, from ?? checkInteger(afterEventId, 'after_event_id'));
      const page = found.slice(0, size);
      const last = page.at(-1);
      return {
        events: page.map(writeEvent),
        nextPageToken: found.length > size && last ? writeToken(last.eventId) : '',
      };
    }, logger),
  };
}

function sizeOf(pageSize: number): number {
  return Math.min(pageSize || defaultPageSize, maxPageSize);
}

/** Opaque to callers: the numbers that say where the next page begins. */
function writeToken(...numbers: number[]): string {
  return Buffer.from(numbers.join(' ')).toString('base64url');
}

function readToken(token: string, length: number): number[] | undefined {
  if (token === '') return undefined;
  const numbers = Buffer.from(token, 'base64url').toString().split(' ').map(Number);
  const isOurs = numbers.length === length && numbers.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (isOurs && writeToken(...numbers) === token) return numbers;
  throw new HoldfastError('INVALID_ARGUMENT', 'page_token is not one that this call gave');
}

function readPosition(token: string): ExplainPosition | undefined {
  const numbers = readToken(token, 2);
  return numbers && { version: numbers[0] ?? 0, fileOffset: numbers[1] ?? 0 };
}

export const keeperStates = {
  live: 'KEEPER_STATE_LIVE',
  suspect: 'KEEPER_STATE_SUSPECT',
  dead: 'KEEPER_STATE_DEAD',
  maintenance: 'KEEPER_STATE_MAINTENANCE',
} as const;

const pieceStates = {
  planned: 'PIECE_STATE_PLANNED',
  durable: 'PIECE_STATE_DURABLE',
  copying: 'PIECE_STATE_COPYING',
  garbage: 'PIECE_STATE_GARBAGE',
  trashed: 'PIECE_STATE_TRASHED',
} as const satisfies Record<ExplainedPiece['state'], string>;

function writeChunk({ lengthBytes, text, pieces, ...chunk }: ExplainedChunk): ExplainedChunkMessage {
  return {
    ...chunk,
    length: lengthBytes,
    text: wireText(text),
    pieces: pieces.map(({ keeper, keeperState, state, verifiedSinceUnixMs, writtenAtUnixMs, ...piece }) => ({
      ...piece,
      keeper: writeEndpoint(keeper),
      keeperState: keeperStates[keeperState],
      state: pieceStates[state],
      ...(verifiedSinceUnixMs !== undefined && { verifiedSinceUnixMs }),
      ...(writtenAtUnixMs !== undefined && { writtenAtUnixMs }),
    })),
  };
}

function writeEvent(event: ClusterEvent): EventMessage {
  return { ...event, text: wireText(event.text) };
}
