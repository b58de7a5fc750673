/**
 * Remembered answers: what makes a mutation happen once however often it is asked for (S7). The answer is stored
 * in the same transaction as the effect, so there is no moment in which one is there without the other.
 */
import { HoldfastError } from '@holdfast/shared';
import { createHash } from 'node:crypto';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';

export interface RequestKey {
  readonly requestId: string;
  /** What identifies the request: its kind and all that it asks for. Anything that JSON can hold. */
  readonly asked: readonly unknown[];
}

const remembered = prepare((db, { requestId }: { requestId: string }) =>
  db.selectFrom('requests').select(['fingerprint', 'answer']).where('request_id', '=', requestId),
);

const remember = prepare(
  (db, row: { request_id: string; fingerprint: string; answer: string; transaction_id: number }) =>
    db.insertInto('requests').values(row),
);

/**
 * Runs `effect` once for a request_id and answers what it answered, also after a restart. `Answer` must survive
 * JSON.
 *
 * @throws HoldfastError REQUEST_ID_REUSED if the id was used for another request
 */
export function once<Answer>(
  store: MetadataStore,
  key: RequestKey,
  effect: (tx: MetadataTransaction) => Promise<Answer>,
): Promise<Answer> {
  const fingerprint = createHash('sha256').update(JSON.stringify(key.asked)).digest('hex');
  return store.mutate(async (tx) => {
    const [known] = await tx.run(remembered, { requestId: key.requestId });
    if (known) {
      if (known.fingerprint === fingerprint) return JSON.parse(known.answer) as Answer;
      throw new HoldfastError(
        'REQUEST_ID_REUSED',
        `request_id ${key.requestId} was used before for a different request`,
        { remedy: 'Use a new random request_id for every request, and the same one only to ask again.' },
      );
    }
    const answer = await effect(tx);
    tx.count('requests', 1);
    await tx.run(remember, {
      request_id: key.requestId,
      fingerprint,
      answer: JSON.stringify(answer),
      transaction_id: tx.transactionId,
    });
    return answer;
  });
}

/**
 * Forgets the oldest answers: those beyond the newest `retained` that are from before `beforeTransactionId`.
 * Removes at most `limit`; returns how many.
 */
export async function pruneRequests(
  store: MetadataStore,
  options: { retained: number; beforeTransactionId: number; limit: number },
): Promise<number> {
  const surplus = Math.min(options.limit, store.counters.requests - options.retained);
  if (surplus <= 0) return 0;
  return store.mutate(async (tx) => {
    const oldest = tx.db
      .selectFrom('requests')
      .select('request_id')
      .where('transaction_id', '<', options.beforeTransactionId)
      .orderBy('transaction_id')
      .limit(surplus);
    const { numDeletedRows } = await tx.db
      .deleteFrom('requests')
      .where('request_id', 'in', oldest)
      .executeTakeFirst();
    tx.count('requests', -Number(numDeletedRows));
    return Number(numDeletedRows);
  });
}
