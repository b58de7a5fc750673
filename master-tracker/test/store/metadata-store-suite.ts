/** What every metadata store must do, whatever stands behind it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { MetadataStore, MetadataTransaction } from '../../src/store/metadata-store.js';
import { prepare } from '../../src/store/prepared.js';
import { id } from '../support/fixture.js';

export interface StoreUnderTest {
  readonly store: MetadataStore;
  /** How often it has committed since it was opened. */
  commits(): number;
  /** As after a crash: what is not committed is gone. */
  reopen(): Promise<void>;
  dispose(): Promise<void>;
}

function addRequest(requestId: string) {
  return async (tx: MetadataTransaction): Promise<number> => {
    await tx.db
      .insertInto('requests')
      .values({ request_id: requestId, fingerprint: '', answer: '', transaction_id: tx.transactionId })
      .execute();
    tx.count('requests', 1);
    return tx.transactionId;
  };
}

export function metadataStoreSuite(name: string, factory: () => Promise<StoreUnderTest>): void {
  describe(`a metadata store: ${name}`, () => {
    let subject: StoreUnderTest;
    beforeEach(async () => {
      subject = await factory();
      await subject.store.mutate(async ({ db }) => {
        await db
          .insertInto('cluster')
          .values({
            id: 1,
            cluster_id: id(),
            secret: '',
            epoch: 1,
            instance_id: id(),
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
          })
          .execute();
      });
    });
    afterEach(() => subject.dispose());

    it('runs the effects of what was committed, in order, before anybody is answered; of nothing else', async () => {
      const { store } = subject;
      const seen: string[] = [];
      const change = (name: string, error?: Error) =>
        store
          .mutate(async (tx) => {
            await addRequest(name)(tx);
            tx.onCommit(() => seen.push(`${name} as of ${store.transactionId}`));
            expect(seen).toEqual([]);
            if (error) throw error;
          })
          .then(
            () => seen.push(`${name} answered`),
            () => seen.push(`${name} refused`),
          );
      const end = store.transactionId + 2;
      await Promise.all([change('a'), change('b', new Error('no')), change('c')]);
      expect(seen.filter((each) => each.includes('as of'))).toEqual([`a as of ${end}`, `c as of ${end}`]);
      expect(seen.indexOf(`a as of ${end}`)).toBeLessThan(seen.indexOf('a answered'));
      expect(seen.indexOf(`c as of ${end}`)).toBeLessThan(seen.indexOf('c answered'));
    });

    it('tells who listens after each commit, when it can be read', async () => {
      const { store } = subject;
      const seen: number[] = [];
      store.onCommitted(() => seen.push(store.transactionId));
      const from = store.transactionId;
      await store.mutate(addRequest('a'));
      await store.mutate(addRequest('b'));
      expect(seen).toEqual([from + 1, from + 2]);
    });

    it('runs prepared queries with the arguments of each call', async () => {
      let built = 0;
      const add = prepare((db, { ids }: { ids: readonly string[] }) => {
        built += 1;
        const rest = { fingerprint: '', answer: '', transaction_id: 1 };
        return db.insertInto('requests').values(ids.map((request_id) => ({ request_id, ...rest })));
      });
      const find = prepare((db, args: { ids: readonly string[]; from: number | null }) =>
        db
          .selectFrom('requests')
          .select('request_id')
          .where('request_id', 'in', args.ids)
          .where('transaction_id', '>=', args.from)
          .orderBy('request_id'),
      );
      const found = await subject.store.mutate(async (tx) => {
        for (const ids of [['a'], ['b', 'c'], ['d'], ['e', 'f']]) await tx.run(add, { ids });
        return tx.run(find, { ids: ['a', 'c', 'e', 'none'], from: 1 });
      });
      expect(found.map((row) => row.request_id)).toEqual(['a', 'c', 'e']);
      // Once for each length.
      expect(built).toBe(2);
      const ids = ['b', 'd'];
      const read = (from: number | null) =>
        subject.store.read((snapshot) => snapshot.run(find, { ids, from }));
      expect(await read(1)).toHaveLength(2);
      expect(await read(2)).toEqual([]);
      expect(await read(null)).toEqual([]);
      // Of any length, and what one that fails has done goes with it.
      const many = Array.from({ length: 100 }, (_, n) => `many-${n}`);
      await subject.store.mutate((tx) => tx.run(add, { ids: many }));
      const twice = subject.store.mutate(async (tx) => {
        await tx.run(add, { ids: ['new'] });
        await tx.run(add, { ids: ['a'] });
      });
      // The driver's own error, which is no Error of this realm.
      const outcome = await twice.then(
        () => 'done',
        () => 'refused',
      );
      expect(outcome).toBe('refused');
      expect(await requests()).toHaveLength(6 + many.length);
    });

    const requests = async (): Promise<string[]> => {
      const rows = await subject.store.read(({ db }) =>
        db.selectFrom('requests').select('request_id').orderBy('request_id').execute(),
      );
      return rows.map((row) => row.request_id);
    };

    it('numbers transactions one by one, also across a crash', async () => {
      const first = await subject.store.mutate(addRequest('a'));
      const second = await subject.store.mutate(addRequest('b'));
      expect(second).toBe(first + 1);
      await subject.reopen();
      expect(subject.store.transactionId).toBe(second);
      expect(await subject.store.mutate(addRequest('c'))).toBe(second + 1);
      expect(subject.store.counters.requests).toBe(3);
      expect(await requests()).toEqual(['a', 'b', 'c']);
    });

    it('shares commits among mutations that wait together', async () => {
      const before = subject.commits();
      const numbers = await Promise.all(
        Array.from({ length: 100 }, (_, index) => subject.store.mutate(addRequest(`r${index}`))),
      );
      expect(new Set(numbers).size).toBe(100);
      expect(subject.commits() - before).toBeLessThan(10);
      expect((await requests()).length).toBe(100);
    });

    it('takes back a mutation that throws, with its counters, and no other', async () => {
      const broken = subject.store.mutate(async (tx) => {
        await addRequest('broken')(tx);
        throw new Error('on purpose');
      });
      const outcomes = await Promise.allSettled([
        subject.store.mutate(addRequest('before')),
        broken,
        subject.store.mutate(addRequest('after')),
      ]);
      expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(await requests()).toEqual(['after', 'before']);
      expect(subject.store.counters.requests).toBe(2);
    });

    it('never shows a group that is not committed', async () => {
      let seen: string[] | undefined;
      await subject.store.mutate(async (tx) => {
        await addRequest('uncommitted')(tx);
        seen = await requests();
      });
      expect(seen).toEqual([]);
      expect(await requests()).toEqual(['uncommitted']);
    });

    it('loses at a crash what was not committed, and nothing else', async () => {
      await subject.store.mutate(addRequest('kept'));
      const lost = subject.store.mutate(addRequest('lost')).catch(() => 'not acknowledged');
      await subject.reopen();
      expect(await lost).toBe('not acknowledged');
      expect(await requests()).toEqual(['kept']);
    });

    it('lets what was begun end before it closes', async () => {
      const last = subject.store.mutate(addRequest('last'));
      await subject.store.close();
      await expect(last).resolves.toBeGreaterThan(0);
      await expect(subject.store.mutate(addRequest('late'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });

    it('refuses more than it can queue, and says that asking again helps', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 5_000 }, (_, index) => subject.store.mutate(addRequest(`r${index}`))),
      );
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      expect(refused.length).toBeGreaterThan(0);
      for (const { reason } of refused) {
        expect(reason).toMatchObject({ code: 'LIMIT_EXCEEDED', retryable: true });
      }
      expect((await requests()).length).toBe(5_000 - refused.length);
    });
  });
}
