/** Watching, against a tracker in memory that breaks off, falls silent and talks nonsense. */
import { HoldfastError } from '@holdfast/shared';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { type WatchOptions, watch, watchCursor } from '../src/namespace/watch.js';
import type { EntryChange, WatchMessage, WatchRequest } from '../src/ports/watch.js';
import { FakeCluster } from './support/fake-cluster.js';
import { cli } from './support/run-cli.js';

let cluster: FakeCluster;
/** The cursors that watches began with. */
let asked: string[];
beforeEach(() => {
  cluster = new FakeCluster();
  asked = [];
});

const cursor = (at: number): WatchMessage => ({
  kind: 'cursor',
  cursor: `c${at}`,
  heartbeatIntervalMs: 5_000,
});
const change = (at: number, changes: Partial<EntryChange> = {}): WatchMessage => ({
  kind: 'change',
  change: {
    ...{ kind: 'created', path: `/${at}`, type: 'file', changedAtUnixMs: at * 1_000, cursor: `c${at}` },
    ...changes,
  },
});
/** What each call tells, one after the other; the last one again and again. */
function script(...calls: ((request: WatchRequest) => Iterable<WatchMessage>)[]): void {
  cluster.watched = (request) => {
    asked.push(request.cursor);
    return calls[Math.min(asked.length, calls.length) - 1]!(request);
  };
}
function* failing(error: HoldfastError, ...messages: WatchMessage[]) {
  yield* messages;
  throw error;
}
/** The paths of the first changes, and what the watch came to if it did not have so many. */
async function first(count: number, options: WatchOptions = {}): Promise<string[]> {
  const seen: string[] = [];
  for await (const { path } of watch(cluster.context(), '/', options)) {
    seen.push(path);
    if (seen.length === count) break;
  }
  return seen;
}

describe('a watch', () => {
  it.each([
    ['a tracker that stops', new HoldfastError('UNAVAILABLE', 'the tracker is stopping')],
    ['a connection that breaks', new HoldfastError('CANCELLED', 'cut')],
    ['a tracker that stops while a message waits', new HoldfastError('LIMIT_EXCEEDED', 'reset')],
  ])('goes on after %s, where it was', async (_what, error) => {
    script(
      () => failing(error, cursor(1), change(2), change(3)),
      () => failing(new HoldfastError('UNAVAILABLE', 'not yet')),
      () => failing(error, cursor(3), cursor(9)),
      () => [cursor(9), change(10)],
    );
    expect(await first(3, { cursor: 'c1' })).toEqual(['/2', '/3', '/10']);
    expect(asked).toEqual(['c1', 'c3', 'c3', 'c9']);
  });

  it('goes on when nothing is heard for three heartbeats, and when not even a first word comes', async () => {
    script(
      () => [cursor(1), change(2)],
      () => [],
      () => [cursor(2), change(3)],
    );
    const startMs = cluster.clock.monotonicMs();
    expect(await first(2)).toEqual(['/2', '/3']);
    expect(asked).toEqual(['', 'c2', 'c2']);
    expect(cluster.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(25_000);
    expect(cluster.clock.monotonicMs() - startMs).toBeLessThan(30_000);
  });

  it('does not take the slowness of its own caller for silence', async () => {
    script(() => [cursor(1), change(2), change(3)]);
    const seen: string[] = [];
    for await (const { path } of watch(cluster.context(), '/')) {
      seen.push(path);
      await cluster.clock.sleep(120_000);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual(['/2', '/3']);
    expect(asked).toEqual(['']);
  });

  it('begins a new call now and then, so that none is older than its deadline', async () => {
    script(
      function* () {
        for (let at = 1; ; at += 1) {
          yield cursor(at);
          void cluster.clock.sleep(60_000);
        }
      },
      () => [cursor(99), change(100)],
    );
    cluster.watched = ((watched) => (request: WatchRequest) => {
      const messages = watched(request);
      return (async function* () {
        for await (const message of messages) {
          await cluster.clock.sleep(4_000);
          yield message;
        }
      })();
    })(cluster.watched);
    expect(await first(1)).toEqual(['/100']);
    expect(asked[1]).toMatch(/^c1[45]\d$/);
  });

  it.each([
    ['an expired cursor', 'CURSOR_EXPIRED', 1],
    ['a wrong path', 'INVALID_ARGUMENT', 1],
    ['a defect that does not heal', 'INTERNAL', 3],
  ] as const)('ends with %s', async (_what, code, calls) => {
    script(() => failing(new HoldfastError(code, 'no'), cursor(1)));
    await expect(first(1)).rejects.toMatchObject({ code });
    expect(asked).toHaveLength(calls);
  });

  it('ends when its signal is aborted, with nothing left behind', async () => {
    const abort = new AbortController();
    script(() => [cursor(1), change(2)]);
    const changes = watch(cluster.context(), '/', { signal: abort.signal });
    expect((await changes.next()).value).toMatchObject({ path: '/2' });
    const next = changes.next();
    abort.abort();
    await expect(next).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(asked).toEqual(['']);
  });

  it('tells how far it has come between changes, after all that came before', async () => {
    script(() => [cursor(1), change(2), cursor(5), change(6)]);
    const seen: string[] = [];
    const onCursor = (at: string): number => seen.push(at);
    for await (const { path } of watch(cluster.context(), '/', { onCursor })) {
      seen.push(path);
      if (path === '/6') break;
    }
    expect(seen).toEqual(['c1', '/2', 'c5', '/6']);
    await expect(
      first(1, {
        onCursor: () => {
          throw new HoldfastError('UNAVAILABLE', 'the caller’s own');
        },
      }),
    ).rejects.toThrow('the caller’s own');
  });

  it('has a cursor of now for who lists first', async () => {
    script(
      () => failing(new HoldfastError('UNAVAILABLE', 'not yet')),
      () => [cursor(7)],
    );
    expect(await watchCursor(cluster.context())).toBe('c7');
  });
});

describe('client watch', () => {
  beforeEach(() => {
    script(() => [
      cursor(1),
      change(2, { path: '/d', type: 'directory' }),
      cursor(3),
      change(4, { kind: 'moved', path: '/d/b', oldPath: '/a\n' }),
      change(5, { kind: 'removed' }),
    ]);
  });

  it('prints a line for each change', async () => {
    const { stdout, status } = await cli(cluster, ['watch', '/', '--limit', '3'], { isTTY: true });
    expect(status).toBe(0);
    const [made, moved, removed] = stdout.split('\n').map((line) => line.replace(/^\S+ \S+ {2}/, ''));
    expect([made, moved, removed]).toEqual(['created   /d/', "moved     $'/a\\n' -> /d/b", 'removed   /5']);
  });

  it('prints JSON lines with the cursor to go on from', async () => {
    const outcome = await cli(cluster, ['watch', '/d', '--shallow', '--json', '-n', '2', '--cursor', 'c1']);
    expect(outcome.documents).toMatchObject([
      { kind: 'created', path: '/d', type: 'directory', cursor: 'c2' },
      { kind: 'moved', path: '/d/b', oldPath: '/a\n', cursor: 'c4' },
    ]);
    expect(asked).toEqual(['c1']);
    expect((await cli(cluster, ['watch', '--print-cursor'])).stdout).toBe('c1\n');
  });

  it('ends with Ctrl-C, and says what is wrong with its flags', async () => {
    const outcome = await cli(cluster, ['watch'], {
      interruptible: (interrupt) => {
        cluster.after = () => interrupt();
      },
    });
    expect(outcome.status).toBe(130);
    expect((await cli(cluster, ['watch', '--limit', '0'])).status).toBe(2);
    expect((await cli(cluster, ['watch', '--cursor', ''])).status).toBe(2);
    expect((await cli(cluster, ['watch', 'relative'])).status).toBe(2);
    script(() => failing(new HoldfastError('CURSOR_EXPIRED', 'too old', { remedy: 'List anew.' })));
    const expired = await cli(cluster, ['watch', '--cursor', 'c0']);
    expect(expired).toMatchObject({ status: 4, stderr: 'client: too old\n  List anew.\n' });
  });
});
