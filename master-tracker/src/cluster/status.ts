/**
 * How the cluster stands, in numbers and in a sentence.
 *
 * What each number costs: files, directories, bytes, chunks and open uploads are counters that every transaction
 * keeps (nothing to count); chunks below policy are counted over the repair queue, which is short when all is
 * well; pieces are counted over an index. What has to be counted is counted at most for a twentieth of the time,
 * so that whoever polls the status does not slow the cluster down.
 */
import type { Clock } from '@holdfast/shared';
import type { KeeperView } from '../membership/keeper.js';
import type { Membership } from '../membership/membership.js';
import type { InFlightTable } from '../repair/in-flight.js';
import type { Counters, MetadataSnapshot, MetadataStore } from '../store/metadata-store.js';
import type { RegressionGuard } from './regression.js';

/** Of a longer queue only this much is looked at chunk by chunk; the rest counts as below policy. About 50 ms. */
const maxQueueCounted = 20_000;
/** A count is good for this many times as long as it took, and for a moment at least. */
const countShare = 20;
const countedForMs = 200;

interface Counts {
  readonly chunksBelowPolicy: number;
  readonly chunksUnreadable: number;
  /** Queued chunks that were not looked at: they count as below policy, and may be unreadable. */
  readonly chunksNotCounted: number;
  readonly piecesToReclaim: number;
  /** Durable pieces by keeper. */
  readonly pieces: ReadonlyMap<string, number>;
  /** The keepers whose pieces did not count. */
  readonly dead: ReadonlySet<string>;
}

export interface KeeperStatus extends KeeperView {
  readonly pieces: number;
  readonly lastHeartbeatAgeMs: number | undefined;
}

export interface ClusterStatus extends Omit<Counts, 'pieces' | 'dead'> {
  readonly counters: Readonly<Counters>;
  readonly metadataRegressed: boolean;
  readonly repairsInFlight: number;
  readonly keepers: readonly KeeperStatus[];
  readonly summary: string;
}

export interface StatusParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly inFlight: InFlightTable;
}

export class StatusReporter {
  readonly #parts: StatusParts;
  #counts: Promise<Counts> | undefined;
  #countedUntilMs = -Infinity;

  constructor(parts: StatusParts) {
    this.#parts = parts;
  }

  async status(): Promise<ClusterStatus> {
    const { store, guard, inFlight } = this.#parts;
    const { pieces, dead, ...counts } = await this.#count();
    const status = {
      ...counts,
      counters: store.counters,
      metadataRegressed: guard.regressed,
      repairsInFlight: inFlight.size,
      keepers: this.#keepers(pieces, dead),
    };
    return { ...status, summary: summarize(status) };
  }

  async keepers(): Promise<readonly KeeperStatus[]> {
    const { pieces, dead } = await this.#count();
    return this.#keepers(pieces, dead);
  }

  #keepers(pieces: Counts['pieces'], dead: Counts['dead']): KeeperStatus[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return this.#parts.membership.list().map((keeper) => ({
      ...keeper,
      // A death that is younger than the count is told with the next one: a dead keeper beside "every chunk has all
      // its copies" would be a lie.
      state: keeper.state === 'dead' && !dead.has(keeper.keeperId) ? 'suspect' : keeper.state,
      pieces: pieces.get(keeper.keeperId) ?? 0,
      lastHeartbeatAgeMs: keeper.lastHeardMs === null ? undefined : Math.floor(nowMs - keeper.lastHeardMs),
    }));
  }

  #count(): Promise<Counts> {
    const { clock, store } = this.#parts;
    const startedMs = clock.monotonicMs();
    if (this.#counts && startedMs < this.#countedUntilMs) return this.#counts;
    // Whoever asks meanwhile shares the count.
    this.#countedUntilMs = Infinity;
    this.#counts = store.read(count).finally(() => {
      const nowMs = clock.monotonicMs();
      this.#countedUntilMs = nowMs + Math.max(countedForMs, countShare * (nowMs - startedMs));
    });
    this.#counts.catch(() => {
      this.#counts = undefined;
    });
    return this.#counts;
  }
}

async function count(snapshot: MetadataSnapshot): Promise<Counts> {
  const { db } = snapshot;
  const queued = await db
    .selectFrom('repair_queue')
    .select(({ fn }) => fn.countAll<number>().as('chunks'))
    .executeTakeFirstOrThrow();
  const standing = await db
    .selectFrom((from) =>
      from
        .selectFrom('repair_queue')
        .select('chunk_id')
        .orderBy('pieces_left')
        .orderBy('chunk_id')
        .limit(maxQueueCounted)
        .as('queued'),
    )
    .innerJoin('chunks', 'chunks.chunk_id', 'queued.chunk_id')
    .leftJoin('pieces', (join) =>
      join.onRef('pieces.chunk_id', '=', 'queued.chunk_id').on('pieces.state', '=', 'durable'),
    )
    .leftJoin('keepers', (join) =>
      join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
    )
    .select(({ fn }) => ['chunks.pieces', fn.count<number>('keepers.keeper_id').as('counted')])
    .groupBy(['queued.chunk_id', 'chunks.pieces'])
    .execute();
  const chunksNotCounted = Math.max(0, queued.chunks - maxQueueCounted);
  const byKeeper = await db
    .selectFrom('pieces')
    .select(({ fn }) => ['keeper_id', 'state', fn.countAll<number>().as('pieces')])
    .groupBy(['keeper_id', 'state'])
    .execute();
  const dead = await db.selectFrom('keepers').select('keeper_id').where('dead', '=', 1).execute();
  return {
    dead: new Set(dead.map((keeper) => keeper.keeper_id)),
    chunksBelowPolicy: standing.filter((chunk) => chunk.counted < chunk.pieces).length + chunksNotCounted,
    chunksUnreadable: standing.filter((chunk) => chunk.counted === 0).length,
    chunksNotCounted,
    piecesToReclaim: byKeeper
      .filter((row) => row.state === 'garbage')
      .reduce((sum, row) => sum + row.pieces, 0),
    pieces: new Map(
      byKeeper.filter((row) => row.state === 'durable').map((row) => [row.keeper_id, row.pieces]),
    ),
  };
}

function plural(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}

/** The state of the cluster in a sentence that does not call anything healthy that was not looked at. */
function summarize(status: Omit<ClusterStatus, 'summary'>): string {
  const { counters, keepers, chunksBelowPolicy, chunksUnreadable, repairsInFlight } = status;
  const count = (state: KeeperView['state']): number =>
    keepers.filter((keeper) => keeper.state === state).length;
  const live = count('live');
  const others = (['suspect', 'maintenance', 'dead'] as const)
    .filter((state) => count(state) > 0)
    .map((state) => `${count(state)} ${state}`);
  const readOnly = keepers.filter((keeper) => keeper.state === 'live' && keeper.storageError !== null).length;
  if (readOnly > 0) others.push(`${readOnly} with a storage that cannot be written`);
  const doubtful = keepers.filter((keeper) => keeper.identityConflict !== null).length;
  if (doubtful > 0) others.push(`${doubtful} that two keepers claim to be`);
  const who = `${plural(live, 'keeper')} live${others.length > 0 ? `, ${others.join(', ')}` : ''}`;
  if (status.metadataRegressed) {
    return `METADATA REGRESSED: reads only, nothing is deleted; start the tracker from the newest copy of its data directory (${who})`;
  }
  if (chunksUnreadable > 0) {
    return `critical: ${who}, ${chunksUnreadable} of ${plural(counters.chunks, 'chunk')} have no copy on a keeper that is there`;
  }
  if (chunksBelowPolicy > 0) {
    const atMost = status.chunksNotCounted > 0 ? 'up to ' : '';
    const copies = repairsInFlight === 1 ? '1 copy' : `${repairsInFlight} copies`;
    return `degraded: ${who}, ${atMost}${chunksBelowPolicy} of ${plural(counters.chunks, 'chunk')} below policy, ${copies} being made`;
  }
  if (keepers.length === 0) return 'waiting: no keeper has joined yet, so nothing can be stored';
  const unreported = keepers.filter((keeper) => keeper.state === 'live' && !keeper.reported).length;
  const chunks = counters.chunks === 0 ? 'no chunks are stored' : 'every chunk has all its copies';
  const doubt = unreported > 0 ? ` (by the records; ${plural(unreported, 'keeper')} yet to report)` : '';
  const state = others.length > 0 ? 'degraded' : live === 0 ? 'unavailable' : 'healthy';
  return `${state}: ${who}, ${chunks}${doubt}`;
}
