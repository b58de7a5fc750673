/**
 * Who this tracker is: the cluster's identity and secret, and the epoch of this start.
 *
 * The failure it answers: orders of a tracker that was replaced, and two trackers that run from one backup. Every
 * start takes an epoch that is one higher and a random instance id, and both are on stable storage before anybody
 * is answered, so a keeper can tell any two starts apart (S8).
 */
import { type Clock, type Authority, type Random, newId } from '@holdfast/shared';
import { createHmac } from 'node:crypto';
import type { EventLog, NewEvent } from '../events/event-log.js';
import { plural } from '../events/words.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { rootId } from '../store/schema.js';

/** How far a keeper has seen the metadata come. */
export interface Witnessed {
  readonly epoch: number;
  readonly transactionId: number;
}

/** This start of the tracker. */
export interface TrackerIdentity {
  readonly clusterId: string;
  readonly epoch: number;
  readonly instanceId: string;
  /** Signs and verifies tokens; every keeper of the cluster has it. */
  readonly tokenKey: Buffer;
  /** The key that one storage signs its receipts with. */
  receiptKey(storageId: string): Buffer;
  /** The last transaction of the starts before this one: no keeper can have witnessed more of them. */
  readonly inheritedTransactionId: number;
  /** A witness that this metadata is behind of, from an earlier start. */
  readonly witnessed: Witnessed | undefined;
}

/** Takes the next epoch, making the cluster on the first start. Durable when it resolves. */
export async function takeIdentity(
  store: MetadataStore,
  random: Random,
  clock: Clock,
  events: EventLog,
): Promise<TrackerIdentity> {
  const instanceId = newId(random);
  const inheritedTransactionId = store.transactionId;
  const row = await store.mutate(async (tx) => {
    const known = await tx.db.selectFrom('cluster').selectAll().executeTakeFirst();
    if (known) {
      await tx.db
        .updateTable('cluster')
        .set({ epoch: known.epoch + 1, instance_id: instanceId })
        .execute();
      await events.record(tx, await describeStart(tx, known.epoch + 1));
      return { ...known, epoch: known.epoch + 1 };
    }
    const created = {
      id: 1,
      cluster_id: newId(random),
      secret: random.bytes(32).toString('hex'),
      epoch: 1,
      instance_id: instanceId,
      witnessed_epoch: null,
      witnessed_transaction_id: null,
      transaction_id: 0,
      last_version: 0,
      last_entry_id: 0,
      files: 0,
      directories: 0,
      logical_bytes: 0,
      chunks: 0,
      open_uploads: 0,
      requests: 0,
      trashed_versions: 0,
      trashed_bytes: 0,
      retired_bytes: 0,
      served_ms: 0,
      last_change_id: 0,
    };
    await tx.db.insertInto('cluster').values(created).execute();
    // The root counts as no directory: nobody made it.
    await tx.db
      .insertInto('entries')
      .values({
        entry_id: tx.count('last_entry_id', rootId),
        // Its own parent, under a name that no path can have.
        parent_id: rootId,
        name: '',
        type: 'directory',
        version: 0,
        created_at_unix_ms: clock.wallMs(),
      })
      .execute();
    await events.record(tx, await describeStart(tx, created.epoch));
    return created;
  });
  const hmac = (text: string): Buffer =>
    createHmac('sha256', Buffer.from(row.secret, 'hex')).update(text).digest();
  return {
    clusterId: row.cluster_id,
    epoch: row.epoch,
    instanceId,
    inheritedTransactionId,
    tokenKey: hmac('holdfast token key v1'),
    receiptKey: (storageId) => hmac(`holdfast receipt key v1${storageId}`),
    witnessed:
      row.witnessed_epoch === null || row.witnessed_transaction_id === null
        ? undefined
        : { epoch: row.witnessed_epoch, transactionId: row.witnessed_transaction_id },
  };
}

async function describeStart({ db }: MetadataTransaction, epoch: number): Promise<NewEvent> {
  const { dead } = await db
    .selectFrom('keepers')
    .select(({ fn }) => fn.countAll<number>().as('dead'))
    .where('dead', '=', 1)
    .executeTakeFirstOrThrow();
  const leases = `; ${plural(dead, 'keeper')} that ${dead === 1 ? 'was' : 'were'} gone may come back, and count until their leases run out`;
  return {
    kind: 'tracker-started',
    subject: '',
    text: `the tracker started (epoch ${epoch})${dead > 0 ? leases : ''}`,
  };
}

/** What every answer to a keeper carries: who speaks, and how far the committed metadata has come. */
export function authorityOf(identity: TrackerIdentity, store: MetadataStore): Authority {
  const { clusterId, epoch, instanceId } = identity;
  return { clusterId, epoch, instanceId, transactionId: store.transactionId };
}
