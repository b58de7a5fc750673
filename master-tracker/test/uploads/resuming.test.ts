/** Uploads that may be gone on with later: longer leases, and which of their chunks need not be sent again. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestTracker, failure, fileOf, id, sealedOf } from '../support/fixture.js';

const minuteMs = 60_000;

describe('an upload that may be gone on with', () => {
  let tracker: TestTracker;
  beforeEach(async () => {
    const settings = { uploadLeaseMs: minuteMs, maxUploadLeaseMs: 5 * minuteMs, maxOpenUploads: 4 };
    tracker = await TestTracker.start({ keepers: 4, settings });
  });
  afterEach(() => tracker.end());

  const uploads = () => tracker.core.uploads;
  const leaseOf = async (leaseMs?: number) => {
    const { session } = await tracker.begin({ count: 0, ...(leaseMs !== undefined && { leaseMs }) });
    const granted = uploads().leaseMs(session.uploadId);
    await uploads().abort(session.uploadId);
    return granted;
  };

  it('has the lease that it asks for, within the bounds', async () => {
    expect(await leaseOf()).toBe(minuteMs);
    expect(await leaseOf(1)).toBe(minuteMs);
    expect(await leaseOf(3 * minuteMs)).toBe(3 * minuteMs);
    expect(await leaseOf(2 ** 32 - 1)).toBe(5 * minuteMs);
  });

  it('has no longer lease than the tracker gives that was started with a lower bound', async () => {
    const { session } = await tracker.begin({ count: 0, leaseMs: 5 * minuteMs });
    await tracker.restart({ maxUploadLeaseMs: 2 * minuteMs });
    expect(uploads().leaseMs(session.uploadId)).toBe(2 * minuteMs);
  });

  it('has the usual lease when half of the places are taken', async () => {
    await tracker.begin({ count: 0, leaseMs: 5 * minuteMs });
    expect(await leaseOf(5 * minuteMs)).toBe(5 * minuteMs);
    await tracker.begin({ count: 0, leaseMs: 5 * minuteMs });
    expect(await leaseOf(5 * minuteMs)).toBe(minuteMs);
  });

  it('has a longer lease from when it asks for one, within the same bounds, and no shorter one', async () => {
    const { session } = await tracker.begin({ count: 0 });
    const { uploadId } = session;
    const askFor = async (leaseMs?: number) => {
      await uploads().allocate(uploadId, 0, [], [], leaseMs);
      return uploads().leaseMs(uploadId);
    };
    expect(await askFor()).toBe(minuteMs);
    expect(await askFor(1)).toBe(minuteMs);
    expect(await askFor(3 * minuteMs)).toBe(3 * minuteMs);
    for (const leaseMs of [undefined, 0, 1, 2 * minuteMs]) expect(await askFor(leaseMs)).toBe(3 * minuteMs);
    await tracker.restart();
    expect(await askFor()).toBe(3 * minuteMs);
    expect(await askFor(2 ** 32 - 1)).toBe(5 * minuteMs);
    expect(await expiredWithin(5 * minuteMs - 1_000)).toBe(0);
    await tracker.restart();
    expect(await expiredWithin(5 * minuteMs - 1_000)).toBe(0);
    expect(await expiredWithin(1_000)).toBe(1);
    await failure('UPLOAD_CLOSED', askFor(5 * minuteMs));
    expect(await expiredWithin(5 * minuteMs)).toBe(0);
  });

  it('keeps the lease that it has when half of the places are taken', async () => {
    const long = await tracker.begin({ count: 0, leaseMs: 3 * minuteMs });
    const usual = await tracker.begin({ count: 0 });
    for (const { session } of [long, usual]) {
      await uploads().allocate(session.uploadId, 0, [], [], 5 * minuteMs);
    }
    expect(uploads().leaseMs(long.session.uploadId)).toBe(3 * minuteMs);
    expect(uploads().leaseMs(usual.session.uploadId)).toBe(minuteMs);
  });

  it('lives as long as its lease, which starts anew with every call and with the tracker', async () => {
    const { session } = await tracker.begin({ leaseMs: 3 * minuteMs });
    const other = await tracker.begin();
    expect(await expiredWithin(2 * minuteMs)).toBe(1);
    expect((await uploads().get(other.session.uploadId, 10, '')).state).toBe('aborted');
    // Renews it.
    expect((await uploads().get(session.uploadId, 10, '')).state).toBe('open');
    expect(await expiredWithin(3 * minuteMs - 1_000)).toBe(0);
    await tracker.restart();
    expect(uploads().leaseMs(session.uploadId)).toBe(3 * minuteMs);
    expect(await expiredWithin(3 * minuteMs - 1_000)).toBe(0);
    expect(await expiredWithin(1_000)).toBe(1);
  });

  it('lists the chunks that need not be written again: not those whose keepers died, page after page', async () => {
    const { session, chunkIds } = await tracker.begin({ count: 3, leaseMs: 5 * minuteMs });
    const [first = '', second = '', third = ''] = chunkIds;
    const [one, two, three] = tracker.keepers;
    const sealed = [sealedOf(first, [one!, two!]), sealedOf(second, [two!, three!])];
    await uploads().allocate(session.uploadId, 0, [], sealed);
    const listed = async () => {
      const ids: string[] = [];
      let after: string | undefined = '';
      do {
        const page = await uploads().get(session.uploadId, 1, after);
        ids.push(...page.sealed.map(({ chunkId }) => chunkId));
        after = page.nextAfterChunkId;
      } while (after !== undefined);
      return ids;
    };
    // The third one was never sealed.
    expect(await listed()).toEqual([first, second].sort());
    expect(third).not.toBe('');
    await tracker.pass(31_000, tracker.keepers.slice(1));
    expect(await listed()).toEqual([second]);
    await uploads().commit(session.uploadId, id(), [fileOf('/file', [second])], []);
    expect(await listed()).toEqual([second]);
  });

  it('does not count a piece again by an old receipt that its keeper lost since', async () => {
    const { session, chunkIds } = await tracker.begin({ count: 1, leaseMs: 5 * minuteMs });
    const [chunkId = ''] = chunkIds;
    const [one, two] = tracker.keepers;
    const sealed = [sealedOf(chunkId, [one!, two!])];
    const listed = async () => (await uploads().get(session.uploadId, 10, '')).sealed.length;
    await uploads().allocate(session.uploadId, 0, [], sealed);
    expect(await listed()).toBe(1);
    // It starts again, and has nothing any more.
    two!.incarnation += 1;
    await two!.register();
    await two!.report([]);
    expect(await listed()).toBe(0);
    await uploads().allocate(session.uploadId, 0, [], sealed);
    expect(await listed()).toBe(0);
    await failure(
      'INVALID_ARGUMENT',
      uploads().commit(session.uploadId, id(), [fileOf('/file', [chunkId])], sealed),
    );
    expect((await tracker.pieces(chunkId))[two!.keeperId]).toBeUndefined();
    // Its keeper's own word counts.
    await two!.report([chunkId]);
    expect(await listed()).toBe(1);
  });

  /** Lets time pass as the worker sees it, a second at a time; how many sessions ended. */
  async function expiredWithin(durationMs: number): Promise<number> {
    let expired = 0;
    for (let leftMs = durationMs; leftMs > 0; leftMs -= 1_000) {
      tracker.clock.advance(Math.min(1_000, leftMs));
      expired += await uploads().expire(10);
    }
    return expired;
  }
});
