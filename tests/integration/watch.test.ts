/** Watching a real cluster: whoever follows the changes knows what a listing says, whatever becomes of the tracker. */
import type { Entry, EntryChange, HoldfastClient } from '@holdfast/client';
import { type Cluster } from '@holdfast/local-cluster';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { start } from '../support/command.js';
import { quickCluster, waitForLive } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

let cluster: Cluster | undefined;
let abort: AbortController;
beforeEach(() => {
  abort = new AbortController();
});
afterEach(async () => {
  abort.abort();
  await cluster?.stop();
});

/** Follows until it is told that `end` was made; what came before that. */
async function changesUntil(
  end: string,
  changes: AsyncIterable<EntryChange>,
): Promise<{ seen: string[]; last: EntryChange }> {
  const seen: string[] = [];
  for await (const change of changes) {
    const { kind, path, oldPath } = change;
    if (path === end) return { seen, last: change };
    seen.push(oldPath === undefined ? `${kind} ${path}` : `${kind} ${oldPath} ${path}`);
  }
  throw new Error('a watch never ends by itself');
}

async function everything(client: HoldfastClient): Promise<Map<string, Entry>> {
  const found = new Map<string, Entry>();
  for await (const entry of client.list('/', { depth: Infinity })) found.set(entry.path, entry);
  return found;
}

it('tells uploads, copies, moves, removals and restores, in a path and through restarts of the tracker', async () => {
  cluster = await quickCluster(3, { trackerSettings: { trashRetentionMs: 600_000, watchHeartbeatMs: 200 } });
  const client = await cluster.connect();
  const cursor = await client.watchCursor();
  const { signal } = abort;
  const all = changesUntil('/w/end', client.watch('/', { signal, cursor }));
  const inside = changesUntil('/w/end', client.watch('/w', { signal, cursor }));
  await waitForLive(client, 3);
  await client.upload(Buffer.from('one'), '/w/a/f', { createParents: true });
  await client.upload(Buffer.from('two'), '/w/a/f', { overwrite: true });
  await client.makeDirectory('/o/p', { parents: true });
  await client.copy('/w/a/f', '/o/p/g');
  await cluster.tracker.kill();
  await cluster.tracker.start();
  await client.move('/o/p', '/w/p');
  await client.move('/w/a/f', '/o/f');
  await cluster.tracker.stop();
  await cluster.tracker.start();
  await client.remove('/w/p', { recursive: true });
  await client.restore('/w/p/g');
  await waitForLive(client, 3);
  await client.upload(Buffer.from('end'), '/w/end');
  const { seen, last } = await inside;
  expect(seen).toEqual([
    ...['created /w', 'created /w/a', 'created /w/a/f', 'replaced /w/a/f'],
    ...['moved /o/p /w/p', 'moved /w/a/f /o/f', 'removed /w/p', 'created /w/p', 'created /w/p/g'],
  ]);
  const others = ['created /o', 'created /o/p', 'created /o/p/g'];
  expect((await all).seen).toEqual([...seen.slice(0, 4), ...others, ...seen.slice(4)]);
  // The entry is that of a listing.
  expect(last.entry).toEqual((await everything(client)).get('/w/end'));
  await expect(client.watch('/', { cursor: 'bm9uc2Vuc2U' }).next()).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});

it('on the command line goes on where it was told to, and a tracker that stops is not held up by it', async () => {
  cluster = await quickCluster(1, { trackerSettings: { watchHeartbeatMs: 200 } });
  const client = await cluster.connect();
  const words = ['--tracker', cluster.trackerAddress];
  const now = await start('client', ['watch', '--print-cursor', ...words]).finished;
  const cursor = now.stdout.toString().trim();
  await client.makeDirectory('/before');
  expect(now.status).toBe(0);
  const watching = start('client', ['watch', '/', '--json', '--limit', '2', '--cursor', cursor, ...words]);
  abort.signal.addEventListener('abort', () => watching.child.kill('SIGKILL'));
  const idle = client.watch('/', { signal: abort.signal });
  const next = idle.next();
  next.catch(() => undefined);
  let began = false;
  const told = client.watch('/', { cursor, signal: abort.signal, onCursor: () => (began = true) }).next();
  await waitFor('a watch to run', () => began);
  expect((await told).value.path).toBe('/before');
  // Of this process, in which the tracker runs: a timer that was missed while it stood still is not made up for.
  let tenths = 0;
  const ticking = setInterval(() => (tenths += 1), 100);
  await cluster.tracker.stop();
  clearInterval(ticking);
  // Not after the grace of five seconds that calls are given.
  expect(tenths).toBeLessThan(30);
  await cluster.tracker.start();
  await client.makeDirectory('/after');
  const { status, stdout, stderr } = await watching.finished;
  expect([stderr, status]).toEqual(['', 0]);
  const lines = stdout.toString().trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as EntryChange).path)).toEqual(['/before', '/after']);
  expect((await next).value.path).toBe('/after');
});
