import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CheckCursor, checkWhole } from '../../src/check/cluster-check.js';
import { type CheckFinding, keepWorst, maxFindingsKept } from '../../src/check/finding.js';
import type { MetadataTransaction } from '../../src/store/metadata-store.js';
import { TestTracker, id } from '../support/fixture.js';

describe('the check of the cluster', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    tracker = await TestTracker.start({ keepers: 3 });
  });
  afterEach(() => tracker.end());

  /** What each keeper answers when it is asked for all that it has: by default what the metadata says. */
  const has = new Map<string, string[]>();
  beforeEach(() => has.clear());

  /** Runs the check, has the keepers answer whenever it waits for them, and takes it across JSON at every step. */
  const check = async (silent: readonly string[] = []) => {
    const findings: CheckFinding[] = [];
    let cursor: CheckCursor | undefined;
    let steps = 0;
    for (;;) {
      const step = await tracker.core.check.step(cursor);
      steps += 1;
      findings.push(...step.findings);
      if (!step.cursor) return { findings, progress: step.progress, steps };
      cursor = JSON.parse(JSON.stringify(step.cursor)) as CheckCursor;
      if (step.nextInMs === 0) continue;
      tracker.clock.advance(step.nextInMs);
      for (const keeper of tracker.keepers) {
        if (silent.includes(keeper.keeperId)) continue;
        await keeper.heartbeat({ slots: 0 });
        if (tracker.core.reports.askedOf(keeper.keeperId) === '') continue;
        await keeper.report(has.get(keeper.keeperId) ?? (await recorded(keeper.keeperId)));
      }
    }
  };

  const recorded = async (keeperId: string): Promise<string[]> => {
    const rows = await tracker.store.read(({ db }) =>
      db
        .selectFrom('pieces')
        .select('chunk_id')
        .where('keeper_id', '=', keeperId)
        .where('state', '=', 'durable')
        .execute(),
    );
    return rows.map((row) => row.chunk_id);
  };

  const damage = (how: (tx: MetadataTransaction) => Promise<unknown>) =>
    tracker.store.mutate(async (tx) => {
      await how(tx);
    });
  const brief = (findings: readonly CheckFinding[]) =>
    findings.map(({ invariant, subject, text }) => `${invariant} ${subject}: ${text}`);

  it('finds nothing where all is well, and says how much it looked at', async () => {
    await tracker.put('/a/b/c/file', { count: 3 });
    await tracker.put('/a/gone');
    await tracker.core.namespace.deleteEntry(['a', 'gone'], false, undefined, id());
    await tracker.put('/tree/x/y');
    await tracker.core.namespace.deleteEntry(['tree'], true, undefined, id());
    await tracker.begin({ path: '/open', count: 2 });
    const { findings, progress } = await check();
    expect(brief(findings)).toEqual([]);
    expect(progress).toMatchObject({
      chunksChecked: 5,
      chunksExpected: 5,
      pieces: 15,
      piecesConfirmed: 15,
      keepersReported: 3,
      keepers: 3,
    });
    expect(progress.text).toMatch(/^checked 5 of 5 chunks; 15 of 15 pieces confirmed by 3 of 3 keepers/);
    expect(progress.notChecked.join()).toMatch(/bytes/);
  });

  it('changes nothing', async () => {
    await tracker.put('/file', { count: 3 });
    const before = tracker.store.transactionId;
    // The reports, a transaction each, are the keepers'.
    await check();
    expect(tracker.store.transactionId).toBe(before + tracker.keepers.length);
  });

  it('looks at what keepers really have, not at what they had', async () => {
    const { chunkIds } = await tracker.put('/file', { count: 4 });
    const [first] = tracker.keepers;
    has.set(first!.keeperId, chunkIds.slice(1));
    const { findings, progress } = await check();
    expect(brief(findings)).toEqual([
      expect.stringMatching(/^repair [0-9a-f]{32}: it lacked 1 pieces/),
      expect.stringMatching(/^repair : 1 chunk has fewer copies than asked for, all in the repair queue/),
    ]);
    expect(progress).toMatchObject({ pieces: 11, piecesConfirmed: 11 });
    expect(await tracker.queued()).toEqual(chunkIds.slice(0, 1));
  });

  it('does not take the word that a keeper gave before for its word now', async () => {
    const { chunkIds } = await tracker.put('/file');
    const [first] = tracker.keepers;
    // A report that answers nothing may have begun before the check did.
    const step = await tracker.core.check.step(undefined);
    await tracker.core.registry.report(first!.identity, {
      ...{ ...first!.identity, reportId: id(), page: 0, last: true, wantedReport: '' },
      pieces: [],
    });
    expect((await tracker.core.check.step(step.cursor)).progress.keepersReported).toBe(0);
    expect(await tracker.pieces(chunkIds[0]!)).toMatchObject({ [first!.keeperId]: 'durable' });
  });

  it('says which keepers it did not hear, and does not wait for them for ever', async () => {
    await tracker.put('/file');
    const [, , third] = tracker.keepers;
    const { progress } = await check([third!.keeperId]);
    expect(progress).toMatchObject({ keepersReported: 2, keepers: 3, pieces: 3, piecesConfirmed: 2 });
    expect(progress.notChecked[0]).toContain(third!.keeperId);
  });

  it('goes on after a restart of the tracker', async () => {
    await tracker.put('/file', { count: 3 });
    let step = await tracker.core.check.step(undefined);
    await tracker.restart();
    for (const keeper of tracker.keepers) {
      await keeper.register();
      await keeper.report(await recorded(keeper.keeperId));
    }
    while (step.cursor) step = await tracker.core.check.step(step.cursor);
    expect(step.progress).toMatchObject({ chunksChecked: 3, piecesConfirmed: 9, keepersReported: 3 });
  });

  it('takes more than one page of everything, and one version over several', async () => {
    await tracker.put('/big', { count: 64 });
    await damage(async ({ db }) => {
      const row = await db.selectFrom('extents').selectAll().limit(1).executeTakeFirstOrThrow();
      const extents = Array.from({ length: 2_500 }, (_, index) => ({
        ...row,
        file_offset: 6_400 + index * 100,
      }));
      for (let from = 0; from < extents.length; from += 500) {
        await db
          .insertInto('extents')
          .values(extents.slice(from, from + 500))
          .execute();
      }
      await db
        .updateTable('versions')
        .set({ size_bytes: 6_400 + 250_000 })
        .execute();
      await db
        .updateTable('cluster')
        .set({ logical_bytes: 6_400 + 250_000 })
        .execute();
    });
    const { findings, steps } = await check();
    // The counter in memory, which the next transaction writes, is the old one.
    expect(brief(findings).filter((each) => !each.startsWith('counts'))).toEqual([]);
    expect(steps).toBeGreaterThan(12);
    await damage(({ db }) => db.updateTable('versions').set({ size_bytes: 1 }).execute());
    expect(brief((await check()).findings)).toContain(
      'S1 /big: its extents end at byte 256400, and it has 1 bytes',
    );
  });

  const harms: [string, (tx: MetadataTransaction, chunkId: string) => Promise<unknown>, RegExp][] = [
    [
      'a chunk of which no piece is left',
      ({ db }, chunkId) => db.deleteFrom('pieces').where('chunk_id', '=', chunkId).execute(),
      /^S1 CHUNK: it cannot be read: no keeper has it; \/dir\/file uses it/,
    ],
    [
      'a chunk below its policy that nobody copies',
      ({ db }, chunkId) =>
        db
          .deleteFrom('pieces')
          .where('chunk_id', '=', chunkId)
          .where('keeper_id', '=', tracker.keepers[0]!.keeperId)
          .execute(),
      /^repair CHUNK: it has 2 of 3 copies and is not in the queue/,
    ],
    [
      'an extent of a chunk that was given up',
      ({ db }, chunkId) =>
        db.updateTable('chunks').set({ state: 'garbage' }).where('chunk_id', '=', chunkId).execute(),
      /^S1 \/dir\/file: chunk CHUNK, which it uses, is garbage/,
    ],
    [
      'a chunk that is to be removed and is used',
      ({ db }, chunkId) =>
        db.updateTable('chunks').set({ state: 'garbage' }).where('chunk_id', '=', chunkId).execute(),
      /^S5 CHUNK: it was given up and is to be removed, and version 1 uses it/,
    ],
    [
      'a piece of a chunk that was given up that counts',
      ({ db }, chunkId) =>
        db.updateTable('chunks').set({ state: 'garbage' }).where('chunk_id', '=', chunkId).execute(),
      /^S6 CHUNK: its piece on keeper [0-9a-f]{32} is counted, and the chunk was given up/,
    ],
    [
      'a chunk that is gone',
      ({ db }, chunkId) => db.deleteFrom('chunks').where('chunk_id', '=', chunkId).execute(),
      /^S1 \/dir\/file: chunk CHUNK, which it uses, is not known/,
    ],
    [
      'a chunk without its bytes written down',
      ({ db }, chunkId) =>
        db.updateTable('chunks').set({ digest: null }).where('chunk_id', '=', chunkId).execute(),
      /^S4 CHUNK: it is used, and its bytes are not written down/,
    ],
    [
      'a hole in a file',
      ({ db }, chunkId) => db.deleteFrom('extents').where('chunk_id', '=', chunkId).execute(),
      /^S1 \/dir\/file: (an extent begins at byte \d+, not at|its extents end at byte 200)/,
    ],
    [
      'a chunk that nothing uses',
      ({ db }, chunkId) => db.deleteFrom('extents').where('chunk_id', '=', chunkId).execute(),
      /^S10 CHUNK: it takes room, and no version uses it/,
    ],
    [
      'an extent past the end of its chunk',
      ({ db }, chunkId) =>
        db.updateTable('extents').set({ chunk_offset: 1 }).where('chunk_id', '=', chunkId).execute(),
      /^S1 \/dir\/file: an extent reaches past the end of chunk CHUNK/,
    ],
    [
      'a file without its version',
      ({ db }) => db.updateTable('entries').set({ version: 99 }).where('type', '=', 'file').execute(),
      /^S1 \/dir\/file: version 99, which it shows, does not exist/,
    ],
    [
      'a file that shows what was given up',
      ({ db }) => db.updateTable('versions').set({ retired_transaction_id: 1 }).execute(),
      /^S2 \/dir\/file: version 1, which it shows, was given up/,
    ],
    [
      'an entry without its directory',
      ({ db }) => db.updateTable('entries').set({ parent_id: 999 }).where('type', '=', 'file').execute(),
      /^S2 …\/file: its directory does not exist/,
    ],
    [
      'an entry in a file',
      async ({ db }) => {
        const row = { name: 'in', version: 0, created_at_unix_ms: 0, type: 'directory' as const };
        const file = await db.selectFrom('entries').select('entry_id').where('type', '=', 'file').execute();
        await db
          .insertInto('entries')
          .values({ ...row, entry_id: 77, parent_id: file[0]!.entry_id })
          .execute();
      },
      /^S2 \/dir\/file\/in: what should be its directory is a file/,
    ],
    [
      'directories in a circle',
      async ({ db }) => {
        const row = { version: 0, created_at_unix_ms: 0, type: 'directory' as const };
        await db
          .insertInto('entries')
          .values({ ...row, entry_id: 77, parent_id: 78, name: 'a' })
          .execute();
        await db
          .insertInto('entries')
          .values({ ...row, entry_id: 78, parent_id: 77, name: 'b' })
          .execute();
      },
      /^S2 .*: the directories above it do not lead to the root/,
    ],
    [
      'counters that are wrong',
      (tx) => Promise.resolve(tx.count('files', 3)),
      /^counts : the counter files says 4, and there are 1/,
    ],
    [
      'pieces that are counted wrongly',
      ({ db }) => db.updateTable('piece_counts').set({ pieces: 9 }).where('state', '=', 'durable').execute(),
      /^counts [0-9a-f]{32}: the counter piece_counts of durable pieces says 9, and there are 3/,
    ],
    [
      'a queue that is counted wrongly',
      ({ db }) =>
        db
          .insertInto('queue_counts')
          .values({ policy_pieces: 3, pieces_left: 2, because: '', chunks: 4, bytes: 400 })
          .execute(),
      /^counts : the counter queue_counts says 4, and there are 0/,
    ],
    [
      'a piece on a keeper that is not known',
      ({ db }, chunk_id) => {
        const row = { state: 'planned' as const, since_transaction_id: 1, claim: null };
        return db
          .insertInto('pieces')
          .values({ ...row, chunk_id, keeper_id: id() })
          .execute();
      },
      /^counts CHUNK: its piece on keeper [0-9a-f]{32} is on a keeper that is not known/,
    ],
    [
      'a piece of no chunk that counts',
      ({ db }, chunkId) => db.deleteFrom('chunks').where('chunk_id', '=', chunkId).execute(),
      /^S6 CHUNK: its piece on keeper [0-9a-f]{32} is counted, and there is no chunk/,
    ],
    [
      'a chunk of an upload that is over',
      ({ db }) => {
        const row = { file_offset: 0, garbage_transaction_id: null, length: null, digest: null, pieces: 3 };
        return db
          .insertInto('chunks')
          .values({ ...row, chunk_id: id(), upload_id: id(), state: 'allocated' })
          .execute();
      },
      /^S10 [0-9a-f]{32}: it belongs to an upload that is over/,
    ],
    [
      'a chunk in the queue that is none',
      ({ db }) =>
        db
          .insertInto('repair_queue')
          .values({
            ...{ chunk_id: id(), pieces_left: 1, below_policy: 1, because: '' },
            ...{ policy_pieces: 3, length_bytes: 100 },
          })
          .execute(),
      /^repair [0-9a-f]{32}: it waits for copies, and it is no chunk that is known/,
    ],
    [
      'a keeper that the metadata takes for another',
      ({ db }) => db.updateTable('keepers').set({ storage_id: id() }).execute(),
      /^S8 [0-9a-f]{32}: the metadata names another start of it/,
    ],
  ];

  it.each(harms)('finds %s', async (_what, harm, message) => {
    const { chunkIds } = await tracker.put('/dir/file', { count: 3 });
    const [chunkId = ''] = chunkIds;
    expect(brief((await check()).findings)).toEqual([]);
    await damage((tx) => harm(tx, chunkId));
    // A report would mend some of it.
    const found = brief((await check(tracker.keepers.map(({ keeperId }) => keeperId))).findings);
    expect(found.map((each) => each.replaceAll(chunkId, 'CHUNK'))).toContainEqual(
      expect.stringMatching(message),
    );
  });

  it('does not wait for reports that regressed metadata would refuse', async () => {
    const [first] = tracker.keepers;
    const { clusterId, epoch, instanceId } = tracker.core.identity;
    await tracker.put('/file');
    await first!
      .register(clusterId, { clusterId, epoch: epoch + 1, instanceId, transactionId: 9_999 })
      .catch(() => 0);
    const { findings, progress } = await check(tracker.keepers.map(({ keeperId }) => keeperId));
    expect(brief(findings)).toContainEqual(expect.stringMatching(/^S9 : keepers have seen later metadata/));
    expect(progress.keepersReported).toBe(0);
  });

  it('runs whole', async () => {
    await tracker.put('/file');
    const alive = tracker.keepers;
    let ended = false;
    const whole = checkWhole(tracker.core.check, tracker.clock).finally(() => (ended = true));
    while (!ended) {
      for (const keeper of alive) {
        if (tracker.core.reports.askedOf(keeper.keeperId) !== '') {
          await keeper.report(await recorded(keeper.keeperId));
        }
      }
      tracker.clock.advance(1_000);
      await tracker.store.read(() => Promise.resolve());
    }
    expect(await whole).toMatchObject({ findings: [], findingsTotal: 0, progress: { piecesConfirmed: 3 } });
  });
});

it('of many findings the worst are kept', () => {
  const lesser = Array.from({ length: 150 }, (): CheckFinding => ({
    invariant: 'S10',
    subject: '',
    text: '',
  }));
  const grave: CheckFinding = { invariant: 'S1', subject: 'x', text: '' };
  const kept = keepWorst(keepWorst([], lesser), [grave]);
  expect(kept).toHaveLength(maxFindingsKept);
  expect(kept).toContain(grave);
});
