/** The questions of operators: checked words in, checked answers out, pages and retries in between. */
import { HoldfastError, splitPath } from '@holdfast/shared';
import { checkTexts } from '../core/check-options.js';
import type { ClientContext } from '../core/context.js';
import { nonsense } from '../core/nonsense.js';
import { type Page, pagesOf } from '../core/pages.js';
import { asking } from '../core/retrying.js';
import type { CallSignal } from '../namespace/namespace.js';
import type { KeeperStatus } from '../ports/cluster-status.js';
import type { ClusterEvent, ExplainedChunk, LossPreview } from '../ports/inspection.js';
import { findKeeper } from './find-keeper.js';

type Tools = Pick<ClientContext, 'tracker' | 'clock' | 'random'>;

export interface EventsOptions extends CallSignal {
  /** How many of the events that there are, the latest ones. Default 100. */
  readonly limit?: number;
  /** Only events after this one, all of them. */
  readonly afterEventId?: number;
  /** Goes on with what happens, until the signal is aborted or the loop is left. Default false. */
  readonly follow?: boolean;
}

/** A preview, and whom it is about. */
export interface KeeperLossPreview extends LossPreview {
  readonly keepers: readonly KeeperStatus[];
}

const defaultLimit = 100;
/** As many as the tracker keeps. */
export const maxEvents = 20_000;
/** The most that a page may have. */
const pageSize = 1_000;
/** People who watch do not notice a second; a tracker does not notice a small query a second. */
const followIntervalMs = 1_000;
/** A million pieces are counted in some ten seconds. */
const previewDeadlineMs = 120_000;

export async function keepers(tools: Tools, { signal }: CallSignal = {}): Promise<readonly KeeperStatus[]> {
  return asking(tools, signal, () => tools.tracker.listKeepers({ signal }));
}

/** The chunks of a file in its order, a page at a time. */
export async function* explain(
  tools: Tools,
  path: string,
  { signal }: CallSignal = {},
): AsyncGenerator<ExplainedChunk, void, undefined> {
  splitPath(path);
  const page = async (token: string): Promise<Page<ExplainedChunk>> => {
    const found = await asking(tools, signal, () => tools.tracker.explainEntry(path, token, { signal }));
    return { items: found.chunks, nextPageToken: found.nextPageToken };
  };
  const nameOf = ({ fileOffset }: ExplainedChunk): string => String(fileOffset);
  const order = (last: ExplainedChunk, next: ExplainedChunk): number =>
    last.fileOffset + last.lengthBytes <= next.fileOffset ? -1 : 1;
  yield* pagesOf('ExplainEntry', page, nameOf, order);
}

/** `names`: ids, beginnings of ids, or addresses. */
export async function previewKeeperLoss(
  tools: Tools,
  names: readonly string[],
  { signal }: CallSignal = {},
): Promise<KeeperLossPreview> {
  checkTexts(names, 'keepers');
  if (names.length === 0) throw new HoldfastError('INVALID_ARGUMENT', 'no keeper was named');
  const known = await keepers(tools, { signal });
  const meant = [...new Set(names.map((name) => findKeeper(known, name)))];
  const keeperIds = meant.map(({ keeperId }) => keeperId);
  const options = { signal, deadlineMs: previewDeadlineMs };
  const preview = await asking(tools, signal, () => tools.tracker.previewKeeperLoss(keeperIds, options));
  return { ...preview, keepers: meant };
}

/** Events, the oldest first. */
export async function* events(
  tools: Tools,
  { signal, limit = defaultLimit, afterEventId, follow = false }: EventsOptions = {},
): AsyncGenerator<ClusterEvent, void, undefined> {
  if (!Number.isSafeInteger(limit) || limit < 0 || limit > maxEvents) {
    throw new HoldfastError('INVALID_ARGUMENT', `limit must be 0 to ${maxEvents}, not ${limit}`);
  }
  let last = afterEventId ?? 0;
  if (afterEventId === undefined) {
    const latest = await latestEvents(tools, limit, signal);
    yield* latest;
    if (!follow) return;
    last = latest.at(-1)?.eventId ?? (await newestId(tools, signal));
  }
  for (;;) {
    const from = last;
    const page = await asking(tools, signal, () =>
      tools.tracker.listEvents({ pageSize, pageToken: '', afterEventId: from }, { signal }),
    );
    for (const event of page.events) {
      if (event.eventId <= last) throw nonsense('ListEvents', `it is out of order at ${event.eventId}`);
      last = event.eventId;
      yield event;
    }
    if (page.nextPageToken !== '' && page.events.length > 0) continue;
    if (!follow) return;
    await tools.clock.sleep(followIntervalMs, { signal });
  }
}

/** The latest `limit`, the oldest of them first. */
async function latestEvents(
  tools: Tools,
  limit: number,
  signal: AbortSignal | undefined,
): Promise<ClusterEvent[]> {
  const found: ClusterEvent[] = [];
  for (let token = ''; found.length < limit;) {
    const request = { pageSize: Math.min(pageSize, limit - found.length), pageToken: token };
    const page = await asking(tools, signal, () => tools.tracker.listEvents(request, { signal }));
    found.push(...page.events.slice(0, limit - found.length));
    if (page.nextPageToken === '' || page.events.length === 0) break;
    token = page.nextPageToken;
  }
  return found.reverse();
}

/** Where to go on from when nothing that is there is wanted. */
async function newestId(tools: Tools, signal: AbortSignal | undefined): Promise<number> {
  return (await latestEvents(tools, 1, signal)).at(-1)?.eventId ?? 0;
}
