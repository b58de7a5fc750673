/** Transfers that are killed go on where they were, with the same command, and end with the same bytes. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type Cluster, startProcessCluster } from '@holdfast/local-cluster';
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningCommand, run, start } from '../support/command.js';
import { fingerprint, seededBytes, sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';
import { queryTables } from '../support/tracker-tables.js';
import { waitFor } from '../support/wait.js';

const MiB = 1024 ** 2;
const sizeBytes = 96 * MiB + 1;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let expectAsBefore: () => Promise<void>;
let source: string;
let digest: string;
let state: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  state = join(folder.path, 'state');
  ({ cluster, expectAsBefore } = await startMeasuredCluster(3, join(folder.path, 'cluster')));
  source = join(folder.path, 'source.bin');
  digest = await writeSeededFile(source, sizeBytes, 7);
});

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

const options = () => ({ environment: { XDG_STATE_HOME: state } });
const command = (...words: string[]) => [...words, '--json', '--tracker', cluster.trackerAddress];
const upload = (...more: string[]) => command('upload', source, '/file.bin', '--chunk-size', '1MiB', ...more);
const target = () => join(folder.path, 'back.bin');
const download = (...more: string[]) => command('download', '/file.bin', target(), ...more);

/** The chunks of which the records of uploads have receipts. */
async function recorded(): Promise<string[]> {
  const directory = join(state, 'holdfast', 'uploads');
  const names = await readdir(directory).catch(() => []);
  const texts = await Promise.all(
    names.map((name) => readFile(join(directory, name), 'utf8').catch(() => '')),
  );
  return [...texts.join('').matchAll(/"chunkId":"([0-9a-f]{32})".*\n/g)].map(([, id = '']) => id);
}

/** The bytes that the parts of the download take on the disk. */
async function partBytes(): Promise<number> {
  const names = (await readdir(folder.path)).filter((name) => name.startsWith('.back.bin.'));
  const sizes = await Promise.all(names.map((name) => stat(join(folder.path, name)).catch(() => undefined)));
  return Math.max(0, ...sizes.map((status) => (status?.blocks ?? 0) * 512));
}

async function killAt(running: RunningCommand, signal: NodeJS.Signals, reached: () => Promise<boolean>) {
  await waitFor(
    'the transfer to get there',
    async () => running.child.exitCode !== null || (await reached()),
  );
  expect(running.child.exitCode).toBeNull();
  running.child.kill(signal);
  return running.finished;
}

function resumedOf({
  status,
  stdout,
  stderr,
}: {
  status: number | null;
  stdout: Buffer;
  stderr: string;
}): number {
  expect({ status, stderr }).toMatchObject({ status: 0 });
  return (JSON.parse(stdout.toString()) as { resumedBytes?: number }).resumedBytes ?? 0;
}

it('an upload that is killed and interrupted goes on, and no chunk with a receipt is sent again', async () => {
  await killAt(start('client', upload(), options()), 'SIGKILL', async () => (await recorded()).length > 20);
  const killed = await recorded();
  const second = start('client', upload(), options());
  const enough = async () => (await recorded()).length > 50;
  const interrupted = await killAt(second, 'SIGINT', enough);
  expect(interrupted.status).toBe(130);
  expect(interrupted.stderr).toMatch(/the same command goes on where it was/);
  const left = await recorded();
  expect(left).toEqual(expect.arrayContaining(killed));
  expect(resumedOf(await run('client', upload(), options()))).toBeGreaterThanOrEqual(left.length * MiB);
  expect(await recorded()).toEqual([]);

  const observer = await cluster.connect();
  const chunkIds: string[] = [];
  for await (const { chunkId } of observer.explain('/file.bin')) chunkIds.push(chunkId);
  expect(chunkIds).toHaveLength(97);
  expect(chunkIds).toEqual(expect.arrayContaining(left));
  expect((await observer.stat('/file.bin')).contentDigest).toBeDefined();
  expect(await observer.compare(source, '/file.bin')).toBe('same');
});

it('a download that is killed and interrupted goes on', async () => {
  await killAt(start('client', download(), options()), 'SIGKILL', async () => (await partBytes()) > 20 * MiB);
  expect(await readdir(folder.path)).not.toContain('back.bin');
  const second = start('client', download(), options());
  // What is there is taken over before anything is added.
  const interrupted = await killAt(second, 'SIGINT', async () => (await partBytes()) > 60 * MiB);
  expect(interrupted.status).toBe(130);
  expect(resumedOf(await run('client', download(), options()))).toBeGreaterThan(40 * MiB);
  expect(await sha256Of(target())).toBe(digest);
  expect((await readdir(folder.path)).filter((name) => name.startsWith('.'))).toEqual([]);
});

it('two processes at the same upload and the same download at once both succeed', async () => {
  const both = async (args: string[]) =>
    Promise.all([run('client', args, options()), run('client', args, options())]);
  for (const finished of await both(upload('--force'))) resumedOf(finished);
  for (const finished of await both(download('--force'))) resumedOf(finished);
  expect(await sha256Of(target())).toBe(digest);
  expect((await readdir(folder.path)).filter((name) => name.startsWith('.'))).toEqual([]);
  expect(await recorded()).toEqual([]);
});

it('begins anew when the source changed, and with --no-resume', async () => {
  const args = (...more: string[]) => upload('--force', ...more);
  const enough = async () => (await recorded()).length > 20;
  await killAt(start('client', args(), options()), 'SIGKILL', enough);
  expect(resumedOf(await run('client', args('--no-resume'), options()))).toBe(0);
  digest = await writeSeededFile(source, sizeBytes, 8);
  const anew = await run('client', args(), options());
  expect(anew.stderr).toMatch(/before it changed/);
  expect(resumedOf(anew)).toBe(0);
  await run('client', download('--force'), options());
  expect(await sha256Of(target())).toBe(digest);
});

it('an upload that is killed before anybody could go on with it is soon over, later it can be gone on with for a day', async () => {
  // Longer than a client stands still between its first two calls.
  const trackerFlags = ['--upload-lease=5s'];
  const dataDir = join(folder.path, 'slow');
  const slow = await startProcessCluster({ dataDir, keepers: 2, faults: true, trackerFlags });
  const open = () => queryTables(slow, "SELECT upload_id, lease_ms FROM uploads WHERE state = 'open'");
  const flags = ['--chunk-size', '1MiB', '--json', '--tracker', slow.trackerAddress];
  const args = ['upload', source, '/file.bin', ...flags];
  try {
    const fault = await slow.tracker.fault('slow', { delayMs: 500 });
    await killAt(start('client', args, options()), 'SIGKILL', async () => open().length > 0);
    await fault.end();
    expect(await recorded()).toEqual([]);
    await waitFor('the upload to be over', () => open().length === 0);

    await killAt(start('client', args, options()), 'SIGKILL', async () => (await recorded()).length > 20);
    const left = open();
    expect(left).toMatchObject([{ lease_ms: 24 * 3_600_000 }]);
    await killAt(start('client', args, options()), 'SIGKILL', async () => (await recorded()).length > 50);
    expect(open()).toEqual(left);
    expect(resumedOf(await run('client', args, options()))).toBeGreaterThan(50 * MiB);
    expect(open()).toEqual([]);
  } finally {
    await slow.stop();
  }
});

/** Small files, which go in packs, and some that go by themselves. */
async function writeTree(top: string): Promise<number> {
  let files = 0;
  for (let directory = 0; directory < 5; directory += 1) {
    const within = join(top, `d${directory}`);
    await mkdir(within, { recursive: true });
    for (let file = 0; file < 100; file += 1, files += 1) {
      const length = file % 50 === 0 ? MiB + 1 + directory : 1_000 + 97 * file;
      await writeFile(join(within, `f${file}`), seededBytes(100 * directory + file, length));
    }
  }
  return files;
}

interface Summary {
  readonly files: number;
  readonly unchanged: number;
  readonly failed: number;
}

/** Kills the command, interrupts the next one and lets the third one come to its end. */
async function inThreeRuns(args: string[], moved: () => Promise<number>, files: number): Promise<Summary> {
  await killAt(start('client', args, options()), 'SIGKILL', async () => (await moved()) > files / 10);
  const killed = await moved();
  const second = start('client', args, options());
  const interrupted = await killAt(second, 'SIGINT', async () => (await moved()) > killed + files / 10);
  expect(interrupted.status).toBe(130);
  expect(interrupted.stderr).toMatch(/going on with a run that did not end well/);
  expect(interrupted.stderr).toMatch(/the same command goes on where it was/);
  const left = await moved();
  const { status, stdout, stderr } = await run('client', args, options());
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const summary = JSON.parse(stdout.toString().trim().split('\n').at(-1) ?? '') as Summary;
  expect(summary).toMatchObject({ failed: 0, unchanged: left, files: files - left });
  return summary;
}

it('trees that are killed and interrupted go on to the same place, and no file that is there is moved again', async () => {
  const tree = join(folder.path, 'tree');
  const files = await writeTree(tree);
  const observer = await cluster.connect();
  const stored = async (): Promise<number> => {
    let found = 0;
    for await (const { path, type } of observer.list('/', { depth: Infinity })) {
      if (type === 'file' && path.startsWith('/tree/')) found += 1;
    }
    return found;
  };
  // Small packs, one after the other: slow enough to be caught.
  const slowly = ['--chunk-size', '128KiB', '--concurrency', '1'];
  await inThreeRuns(command('upload', '-r', tree, '/tree', ...slowly), stored, files);
  expect((await run('client', command('diff', tree, '/tree'), options())).status).toBe(0);

  const back = join(folder.path, 'back');
  const fetched = async (): Promise<number> => {
    const found = await readdir(back, { recursive: true }).catch(() => []);
    return found.filter((name) => /^d\d\/f\d+$/.test(name)).length;
  };
  await inThreeRuns(command('download', '-r', '/tree', back), fetched, files);
  expect(await fingerprint(back)).toEqual(await fingerprint(tree));
});

it('in the end the check finds nothing, and nobody holds more than before', () => expectAsBefore());
