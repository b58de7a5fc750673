/**
 * Handing a chunk on: has the next keeper of the chain fetch it from this one while it is still being written.
 *
 * The failure it answers: one slow or dead keeper must not hold up a client whose bytes are safe elsewhere. A
 * follower that stops taking what is there for it is dropped and named; so are those behind it, which nobody
 * feeds any more.
 */
import { type Clock, HoldfastError, type KeeperEndpoint, hasCode, limits } from '@holdfast/shared';
import type { KeeperSettings } from '../settings.js';
import type { LivePiece } from '../write/live-piece.js';
import type { PeerKeepers, PieceContent, WriteOrder, WriteOutcome } from './peer-keepers.js';

export interface ChainDeps {
  readonly peers: PeerKeepers;
  readonly clock: Clock;
  readonly settings: KeeperSettings;
  /** Where the followers fetch from: this keeper. */
  readonly self: KeeperEndpoint;
}

/** How often a follower is looked at, as a part of the time it may stall. */
const looksPerStall = 10;

/**
 * A piece up to this length goes to the follower with the order. To follow it would be a call more, which costs
 * more than its bytes; a longer one would hold up other orders on the same connection.
 */
const maxLengthWithOrderBytes = limits.blockSizeBytes;

/** Sees to the followers of `order`. Never rejects: what went wrong is in the outcome's failures. */
export async function handOn(
  deps: ChainDeps,
  order: WriteOrder,
  live: LivePiece,
  signal: AbortSignal,
): Promise<WriteOutcome> {
  const [next, ...followers] = order.followers;
  if (!next) return { receipts: [], failures: [] };
  const abort = new AbortController();
  const onAbort = (): void => abort.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  let stopWatching = (): void => undefined;
  try {
    const content = await smallPiece(live, abort.signal);
    if (content) live.progressed(next.keeperId, live.spec.lengthBytes, true);
    stopWatching = watch(deps, live, next, abort);
    const options = { deadlineMs: deps.settings.streamDeadlineMs, signal: abort.signal };
    return await deps.peers.replicate(next, deps.self, { ...order, followers }, options, content);
  } catch (error) {
    return { receipts: [], failures: failuresOf(next, followers, error) };
  } finally {
    stopWatching();
    signal.removeEventListener('abort', onAbort);
  }
}

/** The content of a small piece, as soon as all of it is verified; undefined for one that is to be followed. */
async function smallPiece(live: LivePiece, signal: AbortSignal): Promise<PieceContent | undefined> {
  const { lengthBytes } = live.spec;
  if (lengthBytes > maxLengthWithOrderBytes) return undefined;
  while (!live.digest) await live.waitPast(lengthBytes, signal);
  const reader = live.follow();
  try {
    return { run: await reader.read(0, lengthBytes), digest: live.digest };
  } finally {
    await reader.close();
  }
}

/** Aborts when the follower stalls, or takes too long to finish after it has everything. */
function watch(
  { clock, settings }: ChainDeps,
  live: LivePiece,
  follower: KeeperEndpoint,
  abort: AbortController,
): () => void {
  const finishMs = settings.finishMs + live.spec.lengthBytes / 1_048.576;
  let cancelTimer = (): void => undefined;
  let hasAllSinceMs: number | undefined;
  const drop = (why: string): void => {
    abort.abort(
      new HoldfastError('DEADLINE_EXCEEDED', `keeper ${follower.address} was dropped: it ${why}`, {
        remedy: 'Check that keeper, and the network to it. The tracker completes the chunk later.',
      }),
    );
  };
  const look = (): void => {
    if (live.hasAll(follower.keeperId)) hasAllSinceMs ??= clock.monotonicMs();
    if (live.stalledForMs(follower.keeperId) > settings.followerStallMs) {
      drop(`took nothing for ${settings.followerStallMs} ms`);
    } else if (hasAllSinceMs !== undefined && clock.monotonicMs() - hasAllSinceMs > finishMs) {
      drop('did not finish in time');
    } else {
      cancelTimer = clock.schedule(settings.followerStallMs / looksPerStall, look);
    }
  };
  look();
  return () => cancelTimer();
}

function failuresOf(
  dropped: KeeperEndpoint,
  behind: readonly KeeperEndpoint[],
  error: unknown,
): WriteOutcome['failures'] {
  const reason = HoldfastError.is(error)
    ? error
    : new HoldfastError('INTERNAL', 'handing the chunk on failed', { cause: error });
  const lost = new HoldfastError('UNAVAILABLE', `lost together with keeper ${dropped.address} before it`, {
    retryable: !hasCode(error, 'CANCELLED'),
  });
  return [
    { keeperId: dropped.keeperId, error: reason },
    ...behind.map(({ keeperId }) => ({ keeperId, error: lost })),
  ];
}
