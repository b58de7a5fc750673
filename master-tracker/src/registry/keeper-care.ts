/**
 * What an operator says about one keeper: that it will be away for a while, and that it will not come back.
 *
 * The failure it answers: a planned absence that is longer than a lease is answered with copies of a whole
 * machine; and a keeper that is gone for good stays in every list, or is forgotten while it has the only copy.
 */
import { type Clock, HoldfastError, type Logger } from '@holdfast/shared';
import type { RegressionGuard } from '../cluster/regression.js';
import type { EventLog } from '../events/event-log.js';
import { endDrainsOf } from '../jobs/job-rows.js';
import { noSuchKeeper } from '../jobs/jobs.js';
import type { Membership } from '../membership/membership.js';
import { once } from '../requests/requests.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import type { Registry } from './registry.js';

/** Longer than a day is not an absence but a loss, and the copies that it lacks meanwhile are too long missing. */
const maxMaintenanceMs = 24 * 60 * 60_000;
/** How much of an announced absence a restart of the tracker may forget to have passed. */
const writtenEveryMs = 60_000;

export interface KeeperCareParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly registry: Registry;
  readonly events: EventLog;
}

export class KeeperCare {
  readonly #parts: KeeperCareParts;
  /** What the metadata says of absences, by keeper: milliseconds left. */
  readonly #written: Map<string, number>;

  constructor(parts: KeeperCareParts) {
    this.#parts = parts;
    const nowMs = parts.clock.monotonicMs();
    this.#written = new Map(
      parts.membership.list().flatMap(({ keeperId }): [string, number][] => {
        const leftMs = parts.membership.maintenanceLeftMs(keeperId, nowMs);
        return leftMs === undefined ? [] : [[keeperId, leftMs]];
      }),
    );
  }

  /**
   * Announces that a keeper will be away for up to `durationMs` from now, by the tracker's monotonic clock; 0 ends
   * that. It takes no new pieces until it is started again, and until the time is over its pieces count although
   * it is silent. After a restart of the tracker up to a minute more.
   *
   * @throws HoldfastError NOT_FOUND, INVALID_ARGUMENT, also for a keeper whose lease is over, METADATA_REGRESSED
   */
  async setMaintenance(keeperId: string, durationMs: number, requestId: string): Promise<void> {
    const { store, clock, guard, membership, registry } = this.#parts;
    guard.assertWritable();
    if (durationMs > maxMaintenanceMs) {
      throw new HoldfastError('INVALID_ARGUMENT', 'a maintenance may last a day', {
        remedy: 'For longer, drain the keeper; its pieces are then elsewhere while it is away.',
      });
    }
    await once(store, { requestId, asked: ['maintenance', keeperId, durationMs] }, async (tx) => {
      const keeper = membership.get(keeperId);
      if (!keeper) throw noSuchKeeper(keeperId);
      if (durationMs > 0 && keeper.state === 'dead') {
        throw new HoldfastError(
          'INVALID_ARGUMENT',
          'the keeper is dead already; what it has is being copied',
          {
            remedy: 'Start it again, or let repair finish and forget it.',
          },
        );
      }
      const maintenance_ms = durationMs === 0 ? null : durationMs;
      await tx.db.updateTable('keepers').set({ maintenance_ms }).where('keeper_id', '=', keeperId).execute();
      tx.onCommit(() => {
        const transition = membership.setMaintenance(keeperId, durationMs, clock.monotonicMs());
        this.#remember(keeperId, maintenance_ms ?? undefined);
        if (transition) registry.noteTransition(transition);
      });
      return {};
    });
    await registry.apply([]);
  }

  /** Writes down how much of the announced absences is left. To be called about once a second. */
  async step(): Promise<void> {
    const { store, clock, membership } = this.#parts;
    const nowMs = clock.monotonicMs();
    for (const { keeperId } of membership.list()) {
      const leftMs = membership.maintenanceLeftMs(keeperId, nowMs);
      const writtenMs = this.#written.get(keeperId);
      if (writtenMs === undefined || (leftMs !== undefined && writtenMs - leftMs < writtenEveryMs)) continue;
      await store.mutate(async ({ db }) => {
        await db
          .updateTable('keepers')
          .set({ maintenance_ms: leftMs ?? null })
          .where('keeper_id', '=', keeperId)
          .execute();
      });
      this.#remember(keeperId, leftMs);
    }
  }

  /**
   * Forgets a keeper that is gone and of whose chunks every one has all its pieces elsewhere. Should it come back,
   * it joins as a new one, and what it has is taken up by its report.
   *
   * @throws HoldfastError NOT_FOUND, NOT_EMPTY while it is there or has pieces that are not elsewhere,
   *   METADATA_REGRESSED
   */
  async forget(keeperId: string, requestId: string): Promise<void> {
    const { store, clock, guard, membership, registry, events, logger } = this.#parts;
    guard.assertWritable();
    await once(store, { requestId, asked: ['forget', keeperId] }, async (tx) => {
      const keeper = membership.get(keeperId);
      if (!keeper) throw noSuchKeeper(keeperId);
      const isGone = keeper.state === 'dead' || (keeper.draining && keeper.state !== 'live');
      if (!isGone) throw stillThere(keeper.state === 'live');
      const lacking = await chunksLacking(tx, keeperId);
      if (lacking) {
        throw new HoldfastError(
          'NOT_EMPTY',
          `not all that the keeper has is elsewhere: chunk ${lacking} lacks a copy without it`,
          {
            remedy: 'Wait until repair is done; add a keeper if it cannot go on.',
            facts: { chunk_id: lacking },
          },
        );
      }
      await tx.db.deleteFrom('pieces').where('keeper_id', '=', keeperId).execute();
      await tx.db.deleteFrom('keepers').where('keeper_id', '=', keeperId).execute();
      await endDrainsOf(tx, keeperId, 'the keeper was forgotten', clock.wallMs());
      await events.record(tx, {
        kind: 'keeper-forgotten',
        subject: keeperId,
        text: `the keeper at ${keeper.address} was forgotten; every chunk that it had has its copies elsewhere`,
      });
      tx.onCommit(() => {
        membership.forget(keeperId);
        this.#remember(keeperId, undefined);
        registry.dropOrders(keeperId);
        logger.info('a keeper was forgotten', { keeperId });
      });
      return {};
    });
  }

  #remember(keeperId: string, leftMs: number | undefined): void {
    if (leftMs === undefined) this.#written.delete(keeperId);
    else this.#written.set(keeperId, leftMs);
  }
}

function stillThere(isLive: boolean): HoldfastError {
  return new HoldfastError('NOT_EMPTY', `the keeper is ${isLive ? 'there' : 'expected back'}`, {
    remedy: 'Drain it, stop it, and forget it then.',
  });
}

/** A live chunk that has a piece on the keeper and fewer than its policy asks for on others that are not dead. */
async function chunksLacking({ db }: MetadataTransaction, keeperId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('pieces as own')
    .innerJoin('chunks', 'chunks.chunk_id', 'own.chunk_id')
    .leftJoin('pieces', (join) =>
      join
        .onRef('pieces.chunk_id', '=', 'own.chunk_id')
        .on('pieces.state', '=', 'durable')
        .on('pieces.keeper_id', '!=', keeperId),
    )
    .leftJoin('keepers', (join) =>
      join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.dead', '=', 0),
    )
    .select('own.chunk_id')
    .where('own.keeper_id', '=', keeperId)
    .where('own.state', '=', 'durable')
    .where('chunks.state', '=', 'live')
    .groupBy(['own.chunk_id', 'chunks.pieces'])
    .having((eb) => eb(eb.fn.count('keepers.keeper_id'), '<', eb.ref('chunks.pieces')))
    .limit(1)
    .executeTakeFirst();
  return row?.chunk_id;
}
