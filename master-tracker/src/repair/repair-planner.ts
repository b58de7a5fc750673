/**
 * Decides which pieces are copied next, because they are missing or should be elsewhere, from where and to where.
 *
 * The failure it answers: after a loss there is more to copy than the cluster can carry at once. In the wrong
 * order a chunk with one piece left waits behind thousands with two; without limits repair takes the cluster
 * from its clients; after a cut network it copies everything for keepers that are back in a minute.
 *
 * The promise: most endangered first; never over the limits; never to a keeper that has a piece of the chunk or
 * is getting one or is to give one up, nor to one without room; never for a chunk that cannot be read; nothing in
 * safe mode; only the endangered under the brake. Pure: a view in, decisions out. The plan only adds pieces: it
 * can waste a copy, but not lose one.
 */
import { defined } from '@holdfast/shared';
import { choosePlacement, failureDomain, roomBytes } from '../placement/placement.js';
import type { OccupiedKeeper, PlacementCandidate } from '../placement/placement.js';
import type { ChunkStanding, HeldPiece } from './chunk-standing.js';
import { pieceBytesOf, standingOf, urgencyOf } from './chunk-standing.js';
import { CopyBudget } from './copy-budget.js';
import type { InFlightCopy } from './in-flight.js';
import { emptyTally, summarize } from './repair-summary.js';
import type {
  BlockReason,
  PlannedCopy,
  RepairChunk,
  RepairPlan,
  RepairUrgency,
  RepairView,
} from './repair-view.js';

const RANK: Readonly<Record<RepairUrgency, number>> = {
  endangered: 0,
  'below-half': 1,
  'below-policy': 2,
  draining: 3,
  'badly-placed': 4,
};

/** A piece to be added to a chunk. */
interface Need {
  readonly chunk: RepairChunk;
  readonly held: readonly HeldPiece[];
  /** Shared by the needs of one chunk: a planned target is taken for the next. */
  readonly occupied: OccupiedKeeper[];
  readonly pieceIndex: number;
  readonly urgency: RepairUrgency;
  /** How many losses the chunk survives without this copy, once those in flight and planned before are done. */
  readonly spare: number;
}

/**
 * Plans the next copies.
 *
 * Each missing piece is a need of its own, with the urgency that the chunk has once its copies in flight and
 * those planned before are done. So a chunk with one replica of three asks for its second like any endangered
 * one and for its third like any chunk below policy: all the endangered get their first copy before anyone gets
 * a second. Needs of one urgency are served by how few losses they survive, then in the order of the page.
 */
export function planRepair(view: RepairView): RepairPlan {
  const tally = emptyTally(view.safeMode, isBraked(view));
  if (view.safeMode)
    return { copies: [], surplusChunkIds: [], healthyChunkIds: [], blocked: [], summary: summarize(tally) };

  const keepers = new Map(view.keepers.map((keeper) => [keeper.keeperId, keeper]));
  const inFlight = copiesByChunk(view.inFlight);
  const healthyChunkIds: string[] = [];
  const surplusChunkIds: string[] = [];
  const needs: Need[] = [];
  const budget = new CopyBudget(view);
  for (const chunk of view.chunks) {
    const standing = standingOf(chunk, keepers, inFlight.get(chunk.chunkId) ?? []);
    if (standing.counted < chunk.policy.needed) {
      tally.unreadable++;
    } else if (standing.kept < chunk.policy.pieces) {
      tally.below[urgencyOf(standing.counted, chunk.policy)]++;
      if (standing.missing.length === 0) tally.inFlight++;
      needs.push(...needsOf(chunk, standing));
    } else if (standing.surplus) {
      tally.surplus++;
      // One after the other: a copy that is under way may be the better one.
      if (standing.underway === 0) surplusChunkIds.push(chunk.chunkId);
    } else if (isBadlyPlaced(chunk, standing, budget)) {
      tally.below['badly-placed']++;
      if (standing.underway > 0) tally.inFlight++;
      else needs.push(moveOf(chunk, standing));
    } else {
      tally.healthy++;
      healthyChunkIds.push(chunk.chunkId);
    }
  }
  // Stable, so that the order of the page decides among equals.
  needs.sort((a, b) => RANK[a.urgency] - RANK[b.urgency] || a.spare - b.spare);

  const copies: PlannedCopy[] = [];
  const blocked = new Map<string, BlockReason>();
  for (const need of needs) {
    // What kept a chunk's first copy from being planned keeps the others too.
    if (blocked.has(need.chunk.chunkId)) continue;
    const decision = tally.braked && need.urgency !== 'endangered' ? 'brake' : planCopy(need, budget, view);
    if (typeof decision === 'string') {
      blocked.set(need.chunk.chunkId, decision);
      tally.blocked[decision]++;
    } else {
      budget.charge(decision);
      need.occupied.push(defined(keepers.get(decision.targetKeeperId), 'the target of a copy'));
      tally.planned[decision.urgency]++;
      copies.push(decision);
    }
  }
  const blockedChunks = Array.from(blocked, ([chunkId, reason]) => ({ chunkId, reason }));
  return { copies, surplusChunkIds, healthyChunkIds, blocked: blockedChunks, summary: summarize(tally) };
}

/**
 * True if so many keepers were lost at once that it is more likely the network than the keepers. Those that
 * have been dead for longer than the window neither count as gone nor as keepers, and neither do those in whose place
 * others are.
 */
export function isBraked(view: Pick<RepairView, 'limits' | 'keepers' | 'nowMs'>): boolean {
  const { brakeShare, brakeMinKeepers, brakeWindowMs } = view.limits;
  let gone = 0;
  let present = 0;
  for (const { state, deadSinceMs, succeeded } of view.keepers) {
    if (state !== 'dead') present++;
    else if (!succeeded && deadSinceMs !== null && view.nowMs - deadSinceMs < brakeWindowMs) gone++;
  }
  return gone >= brakeMinKeepers && gone > (gone + present) * brakeShare;
}

function copiesByChunk(copies: readonly InFlightCopy[]): Map<string, InFlightCopy[]> {
  const byChunk = new Map<string, InFlightCopy[]>();
  for (const copy of copies) {
    const known = byChunk.get(copy.chunkId);
    if (known) known.push(copy);
    else byChunk.set(copy.chunkId, [copy]);
  }
  return byChunk;
}

function needsOf(chunk: RepairChunk, standing: ChunkStanding): Need[] {
  const occupied = [...standing.occupied];
  return standing.missing.map((pieceIndex, planned): Need => {
    const pieces = standing.counted + standing.underway + planned;
    const urgency = urgencyOf(pieces, chunk.policy);
    const spare = pieces - chunk.policy.needed;
    return { chunk, held: standing.held, occupied, pieceIndex, urgency, spare };
  });
}

/** True if two pieces are in one zone while another zone, without any, has room for one. */
function isBadlyPlaced(chunk: RepairChunk, { held, underway }: ChunkStanding, budget: CopyBudget): boolean {
  const domains = new Set(held.map(({ keeper }) => failureDomain(keeper)));
  if (chunk.policy.needed > 1 || domains.size === held.length) return false;
  // A copy under way was planned by the same rule.
  if (underway > 0) return true;
  return targetsFor(chunk, domains, budget).some((target) => roomBytes(target) >= pieceBytesOf(chunk));
}

/** The keepers that can take a piece of the chunk, in none of these failure domains. */
function targetsFor(
  chunk: RepairChunk,
  elsewhereThan: ReadonlySet<string>,
  budget: CopyBudget,
): PlacementCandidate[] {
  const barred = chunk.barredKeeperIds ?? [];
  return budget
    .targets()
    .filter((target) => !barred.includes(target.keeperId) && !elsewhereThan.has(failureDomain(target)));
}

/** One more piece, in a zone of its own; the trimmer takes one of the two that share one. */
function moveOf(chunk: RepairChunk, standing: ChunkStanding): Need {
  const { held, occupied, counted } = standing;
  const spare = counted - chunk.policy.needed;
  return { chunk, held, occupied: [...occupied], pieceIndex: 0, urgency: 'badly-placed', spare };
}

function planCopy(need: Need, budget: CopyBudget, view: RepairView): PlannedCopy | BlockReason {
  if (budget.isSpent(need.urgency)) return 'budget';
  const pieceBytes = pieceBytesOf(need.chunk);
  const sourceKeeperIds = chooseSources(need, budget);
  if (typeof sourceKeeperIds === 'string') return sourceKeeperIds;
  const targetKeeperId = chooseTarget(need, pieceBytes, budget, view.random);
  if (typeof targetKeeperId !== 'string') return targetKeeperId.reason;
  return {
    chunkId: need.chunk.chunkId,
    pieceIndex: need.pieceIndex,
    pieceBytes,
    targetKeeperId,
    sourceKeeperIds,
    sourcesNeeded: need.chunk.policy.needed,
    urgency: need.urgency,
  };
}

/**
 * The keepers to copy from: first as many as are needed, each with a piece of another index, live, not too
 * busy, pieces in good standing and idle keepers first; then all others that may answer, as stand-ins.
 */
function chooseSources(need: Need, budget: CopyBudget): string[] | BlockReason {
  const doubt = (piece: HeldPiece): number => (piece.state === 'suspect' ? 1 : 0);
  const ordered = need.held
    .filter((piece) => piece.keeper.state === 'live')
    .sort((a, b) => doubt(a) - doubt(b) || budget.sending(a.keeperId) - budget.sending(b.keeperId));
  const { needed } = need.chunk.policy;
  if (new Set(ordered.map((piece) => piece.pieceIndex)).size < needed) return 'no source';

  const chosen = new Map<number, string>();
  for (const piece of ordered) {
    if (chosen.size >= needed) break;
    if (chosen.has(piece.pieceIndex) || !budget.maySend(piece.keeperId, need.urgency)) continue;
    chosen.set(piece.pieceIndex, piece.keeperId);
  }
  if (chosen.size < needed) return 'budget';
  // Suspect keepers come last: they may be reachable for others than the tracker.
  const silent = need.held.filter((piece) => piece.keeper.state === 'suspect');
  return [...new Set([...chosen.values(), ...[...ordered, ...silent].map((piece) => piece.keeperId)])];
}

function chooseTarget(
  need: Need,
  pieceBytes: number,
  budget: CopyBudget,
  random: () => number,
): string | { reason: BlockReason } {
  const { occupied } = need;
  const elsewhereThan =
    need.urgency === 'badly-placed' ? new Set(occupied.map(failureDomain)) : new Set<string>();
  const targets = targetsFor(need.chunk, elsewhereThan, budget);
  const idle = targets.filter((target) => budget.mayReceive(target.keeperId, need.urgency));
  const among = { pieces: 1, minWrite: 1, pieceBytes, occupied, random };
  const placed = choosePlacement({ ...among, candidates: idle });
  if (placed.ok) return defined(placed.keeperIds[0], 'the keeper of a placement');
  const later = choosePlacement({ ...among, candidates: targets });
  return { reason: later.ok ? 'budget' : 'no target with room' };
}
