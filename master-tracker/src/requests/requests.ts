/**
 * Remembered answers: what makes a mutation happen once however often it is asked for (S7). The answer is stored
 * in the same transaction as the effect, so there is no moment in which one is there without the other. What was
 * refused is remembered too: a request may come a second time, late, when others have changed what it was refused for.
 */
import { HoldfastError, hasCode, namespaceRefusals } from '@holdfast/shared';
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

type Outcome<Answer> = { readonly answer: Answer } | { readonly refusal: HoldfastError };

/**
 * Runs `effect` once for a request_id and answers what it answered, also after a restart. `Answer` must survive
 * JSON.
 *
 * @throws HoldfastError REQUEST_ID_REUSED if the id was used for another request
 */
export async function once<Answer>(
  store: MetadataStore,
  { requestId, asked }: RequestKey,
  effect: (tx: MetadataTransaction) => Promise<Answer>,
): Promise<Answer> {
  const fingerprint = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
  const outcomeOnce = (work: (tx: MetadataTransaction) => Promise<Outcome<Answer>>) =>
    store.mutate(async (tx): Promise<Outcome<Answer>> => {
      const [known] = await tx.run(remembered, { requestId });
      if (known) {
        if (known.fingerprint === fingerprint) return outcomeOf(known.answer);
        throw new HoldfastError(
          'REQUEST_ID_REUSED',
          `request_id ${requestId} was used before for a different request`,
          { remedy: 'Use a new random request_id for every request, and the same one only to ask again.' },
        );
      }
      const outcome = await work(tx);
      tx.count('requests', 1);
      await tx.run(remember, {
        request_id: requestId,
        fingerprint,
        answer: textOf(outcome),
        transaction_id: tx.transactionId,
      });
      return outcome;
    });
  const outcome = await outcomeOnce(async (tx) => ({ answer: await effect(tx) })).catch((error: unknown) => {
    if (!hasCode(error, ...namespaceRefusals)) throw error;
    // What the effect did is taken back with its transaction, so this is another one. If the same request had its effect
    // in between, that is the answer.
    return outcomeOnce(async () => ({ refusal: error }));
  });
  if ('refusal' in outcome) throw outcome.refusal;
  return outcome.answer;
}

/** Before the JSON of a refusal; no JSON begins so. */
const refused = 'refused ';

function textOf(outcome: Outcome<unknown>): string {
  if ('answer' in outcome) return JSON.stringify(outcome.answer);
  const { code, message, remedy, facts } = outcome.refusal;
  return refused + JSON.stringify({ code, message, remedy, facts });
}

function outcomeOf<Answer>(text: string): Outcome<Answer> {
  if (!text.startsWith(refused)) return { answer: JSON.parse(text) as Answer };
  const refusal = JSON.parse(text.slice(refused.length)) as HoldfastError;
  return { refusal: new HoldfastError(refusal.code, refusal.message, refusal) };
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
