/** What operators ask, through the library and the command line, against a tracker in memory. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { HoldfastError } from '@holdfast/shared';
import { events, explain, previewKeeperLoss } from '../src/cluster/inspect.js';
import type { ClusterEvent, ExplainedChunk } from '../src/ports/inspection.js';
import { FakeCluster } from './support/fake-cluster.js';
import { keeperStatusOf } from './support/fake-status.js';
import { cli } from './support/run-cli.js';

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

const event = (eventId: number): ClusterEvent => ({
  ...{
    eventId,
    atUnixMs: eventId * 1_000,
    kind: 'keeper-dead',
    subject: 'ab'.repeat(16),
    text: `event ${eventId}`,
  },
});
const chunk = (index: number, changes: Partial<ExplainedChunk> = {}): ExplainedChunk => ({
  ...{ chunkId: String(index).repeat(32).slice(0, 32), fileOffset: index * 10, lengthBytes: 10 },
  ...{ policyPieces: 3, countedPieces: 2, text: `Chunk ${index}.`, pieces: [], ...changes },
});
const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
};

describe('events', () => {
  const ids = async (options: Parameters<typeof events>[1] = {}) =>
    (await collect(events(cluster.context(), options))).map(({ eventId }) => eventId);
  const range = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, index) => from + index);

  it('are the latest, the oldest of them first, over as many pages as it takes', async () => {
    expect(await ids()).toEqual([]);
    cluster.events = range(1, 2_500).map(event);
    expect(await ids()).toEqual(range(2_401, 2_500));
    expect(await ids({ limit: 2_300 })).toEqual(range(201, 2_500));
    expect(await ids({ limit: 0 })).toEqual([]);
    expect(await ids({ afterEventId: 10 })).toEqual(range(11, 2_500));
  });

  it.each<[number, number]>([
    [0, 6],
    [2, 4],
  ])('are followed without a gap, with %d that were there', async (limit, first) => {
    cluster.events = range(1, 5).map(event);
    const abort = new AbortController();
    cluster.before = (name) => {
      const calls = cluster.called(name);
      if (calls === 4) cluster.events = range(1, 9).map(event);
      // Never reached if the loop below gets what it waits for.
      if (calls === 50) abort.abort(new Error('nothing came'));
    };
    const seen: number[] = [];
    for await (const { eventId } of events(cluster.context(), {
      follow: true,
      limit,
      signal: abort.signal,
    })) {
      seen.push(eventId);
      if (eventId === 9) break;
    }
    expect(seen).toEqual(range(first, 9));
  });

  it('that come out of order are a defect of the tracker, not an endless loop', async () => {
    cluster.events = [event(7), event(6)];
    await expect(ids({ afterEventId: 1 })).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('are asked for in sensible numbers', async () => {
    await expect(ids({ limit: -1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((await cli(cluster, ['events', '--limit', '20001'])).status).toBe(2);
  });

  it('are a log on the command line, and JSON lines for programs', async () => {
    cluster.events = range(1, 3).map(event);
    const { stdout, status } = await cli(cluster, ['events', '-n', '2']);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:02 {2}keeper-dead +abababab {2}event 2\n.*:03 .*event 3\n$/,
    );
    const { documents } = await cli(cluster, ['events', '--json']);
    expect(documents).toEqual(cluster.events);
  });

  it('that are followed end with the interruption', async () => {
    cluster.events = [event(1)];
    const outcome = await cli(cluster, ['events', '--follow'], {
      interruptible: (interrupt) => {
        cluster.after = (name) => {
          if (name === 'listEvents' && cluster.called('listEvents') > 1) interrupt();
        };
      },
    });
    expect(outcome.status).toBe(130);
    expect(outcome.stdout).toMatch(/event 1\n$/);
  });
});

describe('explain', () => {
  beforeEach(() => {
    cluster.put('/file', Buffer.alloc(30));
    cluster.explained = [0, 1, 2].map((index) => chunk(index));
  });

  it('goes through all pages, and through a lost answer', async () => {
    cluster.explainPageSize = 2;
    let failures = 1;
    cluster.after = (name) => {
      if (name === 'explainEntry' && failures-- > 0) throw new HoldfastError('UNAVAILABLE', 'lost');
    };
    const chunks = await collect(explain(cluster.context(), '/file'));
    expect(chunks.map(({ fileOffset }) => fileOffset)).toEqual([0, 10, 20]);
  });

  it('takes no extents out of order, and no page that leads nowhere', async () => {
    cluster.explained = [chunk(1), chunk(0)];
    await expect(collect(explain(cluster.context(), '/file'))).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('out of order at 0'),
    });
    cluster.explained = [];
    cluster.tracker.explainEntry = async () => ({ chunks: [], nextPageToken: 'x' });
    await expect(collect(explain(cluster.context(), '/file'))).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('shows each piece with what is known of it', async () => {
    const [keeper] = cluster.keepers;
    const endpoint = { keeperId: keeper!.keeperId, address: keeper!.address, zone: '' };
    const piece = { keeper: endpoint, keeperState: 'dead', state: 'durable', counted: false } as const;
    cluster.explained = [
      chunk(0, {
        pieces: [
          { ...piece, placedBecause: 'written by the upload' },
          { ...piece, placedBecause: '', verifiedSinceUnixMs: Date.UTC(2026, 0, 2), writtenAtUnixMs: 5 },
          { ...piece, placedBecause: '', verifiedSinceUnixMs: 5, writtenAtUnixMs: Date.UTC(2026, 0, 3) },
          { ...piece, placedBecause: '', writtenAtUnixMs: Date.UTC(2026, 0, 3) },
        ],
      }),
    ];
    const { stdout, status } = await cli(cluster, ['explain', '/file']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\/file: 30 B, version 1; 3 copies\n\nchunk 0{32}, bytes 0 to 9: Chunk 0\.\n/);
    expect(stdout).toMatch(/11111111 +10\.0\.0\.1:7501 +dead +durable +no +- +written by the upload\n/);
    const day = '2026-01-0\\d \\d\\d:\\d\\d +-\\n';
    expect(stdout).toMatch(new RegExp(`no +scrubbed since ${day}(.*no +written ${day}){2}$`));
    const { documents } = await cli(cluster, ['explain', '/file', '--json']);
    expect(documents).toMatchObject([{ entry: { path: '/file' }, chunks: [{ countedPieces: 2 }] }]);
  });

  it('of nothing is not found', async () => {
    expect((await cli(cluster, ['explain', '/nope'])).status).toBe(3);
    expect((await cli(cluster, ['explain', 'relative'])).status).toBe(2);
  });
});

describe('what-if', () => {
  it('takes keepers by any of their names, each once', async () => {
    const preview = await previewKeeperLoss(cluster.context(), ['1111', '10.0.0.2:7501', '1'.repeat(32)]);
    expect(preview.keepers.map(({ keeperId }) => keeperId[0])).toEqual(['1', '2']);
    await expect(previewKeeperLoss(cluster.context(), [])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(previewKeeperLoss(cluster.context(), ['x'])).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(cluster.called('previewKeeperLoss')).toBe(1);
  });

  it('warns of a loss, names files, and ends with a status that scripts can go by', async () => {
    expect((await cli(cluster, ['what-if', '1'])).status).toBe(0);
    cluster.loss = {
      summary: 'DATA WOULD BE LOST',
      lostChunks: 4,
      lostBytes: 4_096,
      lostFiles: 3,
      lostPaths: ['/a', '/b'],
    };
    const { stdout, status } = await cli(cluster, ['what-if', '1', '2']);
    expect(status).toBe(7);
    expect(stdout).toMatch(
      /^without 11111111 at 10\.0\.0\.1:7501 \(live\):\nwithout 22222222 .*\nDATA WOULD BE LOST\n/,
    );
    expect(stdout).toMatch(/chunks lost +4 \(4 KiB, 3 files\)/);
    expect(stdout).toMatch(/Files that would be lost:\n {2}\/a\n {2}\/b\n {2}and 1 more\n$/);
    const { documents } = await cli(cluster, ['what-if', '1', '--json']);
    expect(documents).toMatchObject([{ lostFiles: 3, keepers: [{ address: '10.0.0.1:7501' }] }]);
    expect((await cli(cluster, ['what-if', 'nobody'])).status).toBe(3);
    expect((await cli(cluster, ['what-if'])).status).toBe(2);
  });
});

describe('status', () => {
  const scrub = {
    ...{ scannedPieces: 3, expectedPieces: 12, scannedBytes: 300, expectedBytes: 1_200, corruptPieces: 1 },
    ...{
      unreadPieces: 0,
      cachedPieces: 0,
      rounds: 1,
      startedAtUnixMs: Date.UTC(2026, 4, 2),
      previousStartedAtUnixMs: Date.UTC(2026, 4, 1),
    },
  };
  const shown = async () => (await cli(cluster, ['status'])).stdout;

  it('says how it is, what has how many copies, and that nobody knows whether they are intact', async () => {
    const words = await shown();
    expect(words).toMatch(/^healthy: 3 keepers live/);
    expect(words).toMatch(/ {2}CHUNKS THAT {2}HAVE 3\n {2}want 3 +7\n/);
    expect(words).toMatch(
      /\nrepair: No chunk waits for a copy\.\nscrub: {2}no keeper has said .* is not known\n/,
    );
    expect(words).toMatch(/\ntrash: {2}0 versions can be restored \(0 B\); 0 pieces to be given up, 0 B in/);
    expect(words).toMatch(/\n11111111 +10\.0\.0\.1:7501 +- +live +1 KiB +3 KiB +7 +- +400 ms ago\n/);
  });

  it('says what repair does, why, how fast and until when', async () => {
    const counts = [
      { policyPieces: 3, countedPieces: 1, chunks: 2 },
      { policyPieces: 2, countedPieces: 2, chunks: 9 },
      { policyPieces: 3, countedPieces: 3, chunks: 5 },
    ];
    const repair = {
      ...{ text: '2 chunks wait.', chunksQueued: 2, copiesInFlight: 1, bytesPerSecond: 2_048, blocked: [] },
      ...{ limitBytesPerSecond: 4_096, remainingMs: 61_000, braked: false, safeMode: false },
    };
    cluster.status = { pieceCounts: counts, repair };
    const words = await shown();
    expect(words).toMatch(
      /CHUNKS THAT {2}HAVE 1 {2}HAVE 2 {2}HAVE 3\n {2}want 3 +2 +0 +5\n {2}want 2 +0 +9 +0\n/,
    );
    expect(words).toMatch(/repair: 2 chunks wait\. 2 KiB\/s of 4 KiB\/s allowed, about 1 min 1 s left\.\n/);
  });

  it('claims to have verified no more than was', async () => {
    cluster.status = { scrub };
    expect(await shown()).toMatch(
      /scrub: {2}3 of 12 pieces \(25 %\) read again in this round, 1 damaged, 3 of 3 keepers have not said\n/,
    );
    const keepers = cluster.keepers.map((keeper) => keeperStatusOf(keeper, { scrub }));
    cluster.status = { scrub, keepers };
    expect(await shown()).toMatch(/1 damaged, everything was verified since 2026-0[45]-\d\d/);
    cluster.status = { scrub: { ...scrub, unreadPieces: 2 }, keepers };
    expect(await shown()).toMatch(/1 damaged, 2 could not be read\n/);
  });

  it('shows what troubles keepers, also by itself', async () => {
    const [first, second, third] = cluster.keepers;
    cluster.status = {
      keepers: [
        keeperStatusOf(first!, { storageError: 'the disk is full', draining: true }),
        keeperStatusOf(second!, { reported: false, scrub }),
        keeperStatusOf(third!, { identityConflict: 'two of them', state: 'suspect' }),
      ],
    };
    const { stdout } = await cli(cluster, ['keepers']);
    expect(stdout).toMatch(/live \(draining, takes no writes\)/);
    expect(stdout).toMatch(/live \(yet to report\).* 3 of 12 /);
    expect(stdout).toMatch(/11111111: the disk is full\n33333333: two of them\n$/);
    const { documents } = await cli(cluster, ['keepers', '--json']);
    expect(documents).toMatchObject([{ keepers: [{ draining: true }, { scrub: { rounds: 1 } }, {}] }]);
    const inPlace = keeperStatusOf(third!, { address: first!.address, pieces: 0 });
    cluster.status = { keepers: [keeperStatusOf(first!, { state: 'dead', pieces: 12 }), inPlace] };
    expect((await cli(cluster, ['keepers'])).stdout).toMatch(
      /33333333: is at .*, where 11111111 with 12 pieces was\. If that should be the same .* forget 11111111 once/,
    );
    cluster.status = { keepers: [] };
    expect((await cli(cluster, ['keepers'])).stdout).toMatch(/^No keepers\./);
  });
});
