/**
 * Remembered answers: what makes a mutation happen once however often it is asked for (S7). The answer is stored
 * in the same transaction as the effect, so there is no moment in which one is there without the other.
 */
import { HoldfastError } from '@holdfast/shared';
import { sql } from 'kysely';
import { createHash } from 'node:crypto';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
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
 * Long in characters, as the index `requests_long` has it: answers for thousands of files have some hundreds a file, so
 * those of all that `retained` allows would be a hundred times what it is meant to cost.
 */
const isLong = sql<boolean>`length(answer) > 4096`;

/**
 * Forgets the oldest answers that are from before `beforeTransactionId`: those beyond the newest `retained`, and of
 * those that are long all beyond the newest `retainedLong`. Removes at most `limit` of each; true if there may be more.
 */
export async function pruneRequests(
  store: MetadataStore,
  options: { retained: number; retainedLong: number; beforeTransactionId: number; limit: number },
): Promise<boolean> {
  const { retained, retainedLong, beforeTransactionId, limit } = options;
  const oldest = ({ db }: Pick<MetadataSnapshot, 'db'>, atMost: number) =>
    db
      .selectFrom('requests')
      .select('request_id')
      .where('transaction_id', '<', beforeTransactionId)
      .orderBy('transaction_id')
      .limit(atMost);
  const forget = (find: (tx: MetadataTransaction) => ReturnType<typeof oldest>): Promise<number> =>
    store.mutate(async (tx) => {
      const { numDeletedRows } = await tx.db
        .deleteFrom('requests')
        .where('request_id', 'in', find(tx))
        .executeTakeFirst();
      tx.count('requests', -Number(numDeletedRows));
      return Number(numDeletedRows);
    });
  let most = 0;
  const surplus = Math.min(limit, store.counters.requests - retained);
  if (surplus > 0) most = await forget((tx) => oldest(tx, surplus));
  const long = (snapshot: Pick<MetadataSnapshot, 'db'>, atMost: number) =>
    oldest(snapshot, atMost)
      .where(isLong)
      .where('transaction_id', '<=', (db) =>
        db
          .selectFrom('requests')
          .select('transaction_id')
          .where(isLong)
          .orderBy('transaction_id', 'desc')
          .limit(1)
          .offset(retainedLong),
      );
  const isAny = (await store.read((snapshot) => long(snapshot, 1).execute())).length > 0;
  if (isAny) most = Math.max(most, await forget((tx) => long(tx, limit)));
  return most === limit;
}
