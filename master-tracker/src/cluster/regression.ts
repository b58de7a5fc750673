/**
 * The guard against metadata that went backwards (S9).
 *
 * The failure it answers: a tracker is started from an old backup, or its disk lost acknowledged commits. To it
 * the chunks of the lost files look like garbage, and an honest clean-up would destroy the last copies. Keepers
 * remember the highest authority that they have seen; one that remembers more than this metadata holds proves
 * the loss.
 *
 * The promise: from that moment on this metadata serves reads only and deletes nothing, also after restarts, until
 * a person has restored the right one. The proof is written down, as transactions of the restored tracker would
 * otherwise catch up with the number that the keepers remember and hide the loss.
 */
import { type Authority, HoldfastError, type Logger } from '@holdfast/shared';
import type { EventLog } from '../events/event-log.js';
import type { MetadataStore } from '../store/metadata-store.js';
import type { TrackerIdentity, Witnessed } from './identity.js';

export class RegressionGuard {
  readonly #store: MetadataStore;
  readonly #own: TrackerIdentity;
  readonly #logger: Logger;
  readonly #events: EventLog;
  #witnessed: Witnessed | undefined;

  constructor(store: MetadataStore, own: TrackerIdentity, logger: Logger, events: EventLog) {
    this.#events = events;
    this.#store = store;
    this.#own = own;
    this.#logger = logger;
    this.#witnessed = own.witnessed;
    if (own.witnessed) this.#complain(own.witnessed);
  }

  /** True while the tracker serves reads only. */
  get regressed(): boolean {
    return this.#witnessed !== undefined;
  }

  /** @throws HoldfastError METADATA_REGRESSED while the tracker serves reads only */
  assertWritable(): void {
    if (!this.#witnessed) return;
    throw new HoldfastError(
      'METADATA_REGRESSED',
      `keepers have witnessed transaction ${this.#witnessed.transactionId} of epoch ${this.#witnessed.epoch}; ` +
        'this tracker started from older metadata, so it serves reads only',
      { remedy: 'Stop the tracker and start it from the newest copy of its data directory.' },
    );
  }

  /** Takes a keeper's word for how far the cluster's metadata had come. */
  async witness(keeperId: string, seen: Authority | undefined): Promise<void> {
    if (!seen || seen.clusterId !== this.#own.clusterId || this.#witnessed) return;
    const { epoch, instanceId, inheritedTransactionId } = this.#own;
    const isRival = seen.epoch === epoch && seen.instanceId !== instanceId;
    // What an earlier start has done must have been there at the start of this one: every start and every
    // registration is a transaction, and would make up for the last few that were lost.
    const known = seen.epoch < epoch ? inheritedTransactionId : this.#store.transactionId;
    if (!isRival && seen.epoch <= epoch && seen.transactionId <= known) return;
    const witnessed = { epoch: seen.epoch, transactionId: seen.transactionId };
    // Set first: nothing may be deleted while the proof is being written.
    this.#witnessed = witnessed;
    this.#complain(witnessed, keeperId);
    await this.#store.mutate(async (tx) => {
      await tx.db
        .updateTable('cluster')
        .set({ witnessed_epoch: witnessed.epoch, witnessed_transaction_id: witnessed.transactionId })
        .execute();
      const text =
        `the keeper has witnessed transaction ${seen.transactionId} of epoch ${seen.epoch}, which this metadata ` +
        'does not have: reads only and nothing is deleted, until the tracker starts from the newest copy';
      await this.#events.record(tx, { kind: 'metadata-regressed', subject: keeperId, text });
    });
  }

  #complain(witnessed: Witnessed, keeperId?: string): void {
    this.#logger.error(
      'METADATA REGRESSED: keepers have witnessed later metadata than this tracker has. It serves reads only ' +
        'and deletes nothing. Stop it and start it from the newest copy of its data directory.',
      { ...witnessed, ownTransactionId: this.#store.transactionId, ...(keeperId && { keeperId }) },
    );
  }
}
