/**
 * Pieces that keepers have and the metadata does not know: leftovers of writes that came too late, and of keepers that
 * were away for so long that their tombstones are gone.
 *
 * The failure it answers: room that nothing gives back, on one side; on the other, a tracker that takes the last
 * copies for leftovers because it lost its memory. So an unknown piece goes only after two full reports have named it,
 * a grace apart, both to this start of the tracker and after it knew who is there; never while the metadata is behind
 * what keepers have seen; and never when there are many, which is no leftover but a mistake, without an operator's
 * word. It becomes a tombstone then, as any other piece that was given up, and its keeper keeps it in its trash.
 *
 * What was named once is remembered in a table, so that memory does not grow with what keepers have.
 */
import { HoldfastError, type Logger } from '@holdfast/shared';
import { sql } from 'kysely';
import type { TrackerIdentity } from '../cluster/identity.js';
import type { RegressionGuard } from '../cluster/regression.js';
import type { TransactionTimes } from '../cluster/transaction-times.js';
import type { EventLog } from '../events/event-log.js';
import type { Membership } from '../membership/membership.js';
import { once } from '../requests/requests.js';
import { batches } from '../store/batches.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { recordGarbage } from './pieces.js';

/** More than this share of a keeper's pieces, and more than so many, are no leftovers. */
const heldShare = 0.01;
const heldPieces = 10;
/** Pieces that one transaction gives up: about 50 ms. */
const stepSize = 1_000;
/** Pieces that one operator's word gives up: about a second, in one transaction as it has one answer. */
const maxAccepted = 50_000;

export interface UnknownPiecesParts {
  readonly store: MetadataStore;
  readonly times: TransactionTimes;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly events: EventLog;
  readonly identity: TrackerIdentity;
  readonly logger: Logger;
  /** How far apart the two reports must be, in milliseconds. */
  readonly unknownGraceMs: number;
}

/** Which report of which keeper speaks. */
interface Source {
  readonly keeperId: string;
  readonly reportId: string;
}

export class UnknownPieces {
  readonly #parts: UnknownPiecesParts;
  /** By keeper: how many pieces are held, as the last event said. */
  readonly #held = new Map<string, number>();

  constructor(parts: UnknownPiecesParts) {
    this.#parts = parts;
  }

  /** True if a report that begins now may name leftovers. */
  mayJudge(keeperId: string): boolean {
    const { membership, guard } = this.#parts;
    // Of two keepers with one name, the order to remove would reach either.
    return (
      !guard.regressed && membership.knowsWhoIsThere() && membership.get(keeperId)?.identityConflict === null
    );
  }

  /** A page of a report named these; no chunk twice. */
  async note(tx: MetadataTransaction, { keeperId, reportId }: Source, chunkIds: readonly string[]) {
    const { epoch } = this.#parts.identity;
    for (const page of batches(chunkIds)) {
      const rows = page.map((chunkId) => ({
        keeper_id: keeperId,
        chunk_id: chunkId,
        epoch,
        first_report: reportId,
        first_transaction_id: tx.transactionId,
        last_report: reportId,
      }));
      await tx.db
        .insertInto('unknown_pieces')
        .values(rows)
        .onConflict((conflict) =>
          conflict.columns(['keeper_id', 'chunk_id']).doUpdateSet({
            last_report: reportId,
            // What an earlier start of the tracker was told begins anew.
            epoch,
            first_report: sql<string>`case when unknown_pieces.epoch = ${epoch} then unknown_pieces.first_report else ${reportId} end`,
            first_transaction_id: sql<number>`case when unknown_pieces.epoch = ${epoch} then unknown_pieces.first_transaction_id else ${tx.transactionId} end`,
          }),
        )
        .execute();
    }
  }

  /** A report is whole: forgets what it did not name, and gives up what is surely a leftover. */
  async conclude(source: Source, reportedPieces: number): Promise<void> {
    const { store, events, logger } = this.#parts;
    const { keeperId, reportId } = source;
    const unknown = await this.#count(keeperId);
    if (unknown === 0) return;
    await store.mutate(async ({ db }) => {
      await db
        .deleteFrom('unknown_pieces')
        .where('keeper_id', '=', keeperId)
        .where('last_report', '!=', reportId)
        .execute();
    });
    const named = await this.#count(keeperId);
    if (named <= Math.max(heldPieces, reportedPieces * heldShare)) {
      this.#held.delete(keeperId);
      while ((await store.mutate((tx) => this.#giveUp(tx, keeperId, stepSize))) === stepSize);
      return;
    }
    if (this.#held.get(keeperId) === named) return;
    const text =
      `the metadata does not know ${named} of the keeper's ${reportedPieces} pieces; they are kept, as so many are ` +
      'no leftovers: is this the newest copy of the metadata?';
    logger.error('unknown pieces are held', { keeperId, unknown: named, pieces: reportedPieces });
    await store.mutate((tx) => events.record(tx, { kind: 'unknown-pieces-held', subject: keeperId, text }));
    this.#held.set(keeperId, named);
  }

  /**
   * The operator's word that a keeper's unknown pieces belong to nothing, however many. Those that two reports have
   * named far enough apart are given up; the others stay.
   *
   * @throws HoldfastError NOT_FOUND, METADATA_REGRESSED, UNAVAILABLE right after the tracker's start
   */
  async accept(keeperId: string, requestId: string): Promise<{ trashed: number; kept: number }> {
    const { store, guard, membership } = this.#parts;
    guard.assertWritable();
    if (!membership.get(keeperId)) {
      throw new HoldfastError('NOT_FOUND', `there is no keeper ${keeperId}`, {
        remedy: 'See client status --json for the whole ids of the keepers.',
      });
    }
    if (!this.mayJudge(keeperId)) {
      throw new HoldfastError('UNAVAILABLE', 'the tracker does not yet know who is there', {
        remedy: 'Try again when every keeper is live or dead, and none is claimed by two.',
        retryAfterMs: 1_000,
      });
    }
    return once(store, { requestId, asked: ['TrashUnknownPieces', keeperId] }, async (tx) => {
      const trashed = await this.#giveUp(tx, keeperId, maxAccepted);
      const row = await tx.db
        .selectFrom('unknown_pieces')
        .select(({ fn }) => fn.countAll<number>().as('kept'))
        .where('keeper_id', '=', keeperId)
        .executeTakeFirstOrThrow();
      return { trashed, kept: row.kept };
    });
  }

  /** Makes tombstones of up to `limit` pieces that were named twice, far enough apart; returns how many. */
  async #giveUp(tx: MetadataTransaction, keeperId: string, limit: number): Promise<number> {
    const { times, identity, unknownGraceMs } = this.#parts;
    const rows = await tx.db
      .selectFrom('unknown_pieces')
      .select('chunk_id')
      .where('keeper_id', '=', keeperId)
      .where('epoch', '=', identity.epoch)
      .whereRef('first_report', '!=', 'last_report')
      .where('first_transaction_id', '<=', times.horizon(unknownGraceMs))
      .where((eb) =>
        eb.not(
          eb.exists(
            eb
              .selectFrom('chunks')
              .select('chunks.chunk_id')
              .whereRef('chunks.chunk_id', '=', 'unknown_pieces.chunk_id'),
          ),
        ),
      )
      .limit(limit)
      .execute();
    for (const page of batches(rows.map((row) => row.chunk_id))) {
      const keys = page.map((chunkId) => ({ chunkId, keeperId }));
      await recordGarbage(tx, keys);
      await tx.db
        .deleteFrom('unknown_pieces')
        .where('keeper_id', '=', keeperId)
        .where('chunk_id', 'in', page)
        .execute();
    }
    return rows.length;
  }

  async #count(keeperId: string): Promise<number> {
    const row = await this.#parts.store.read(({ db }) =>
      db
        .selectFrom('unknown_pieces')
        .select(({ fn }) => fn.countAll<number>().as('pieces'))
        .where('keeper_id', '=', keeperId)
        .executeTakeFirstOrThrow(),
    );
    return row.pieces;
  }
}
