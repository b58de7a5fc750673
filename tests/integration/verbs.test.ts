/**
 * Every verb takes every awkward name and size: the command line against a real cluster, where it runs in a directory of
 * its own as a process. Names go in as words of the command, behind "--", and come out as lines, documents and files.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { randomInt } from 'node:crypto';
import { appendFile, cp, mkdir, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { awkwardNames, awkwardSizes } from '../support/awkward.js';
import { runHere } from '../support/command-here.js';
import { run } from '../support/command.js';
import { fingerprint, seededBytes, temporaryFolder } from '../support/files.js';

const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 31));
const chunkSizeBytes = 256 * 1024;
const sizes = awkwardSizes(64 * 1024, chunkSizeBytes);
const inBytes = (names: readonly string[]): string[] =>
  [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

let cluster: Cluster;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** Files by their name; half of them hold some other directory's name and a file below. */
let source: string;
const contents = new Map<string, Buffer>();

/** Runs a verb that must end with 0; resolves to what it printed. */
async function client(...words: string[]): Promise<Buffer> {
  const { status, stdout, stderr } = await runHere(['--tracker', cluster.trackerAddress, ...words]);
  expect({ words, status, stderr: status === 0 ? '' : stderr }).toEqual({ words, status: 0, stderr: '' });
  return stdout;
}

async function document<T>(...words: string[]): Promise<T> {
  return JSON.parse((await client('--json', ...words)).toString()) as T;
}

const below = (directory: string): string[] => awkwardNames.map((name) => `${directory}/${name}`);

beforeAll(async () => {
  folder = await temporaryFolder();
  source = join(folder.path, 'source');
  await mkdir(join(source, 'files'), { recursive: true });
  for (const [index, name] of awkwardNames.entries()) {
    const bytes = seededBytes(seed + index, sizes[index % sizes.length] ?? 0);
    contents.set(name, bytes);
    await writeFile(join(source, 'files', name), bytes);
    await mkdir(join(source, 'directories', name), { recursive: true });
    await writeFile(join(source, 'directories', name, name), name);
  }
  cluster = await startCluster({
    keepers: 3,
    trackerSettings: { defaultChunkSizeBytes: chunkSizeBytes, reclaimGraceMs: 100, repairTickMs: 100 },
  });
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

describe(`names and sizes (HOLDFAST_SEED=${seed})`, () => {
  beforeEach(async () => {
    const library = await cluster.connect();
    for (const name of ['/all', '/other', '/new']) {
      await library.remove(name, { recursive: true }).catch(() => undefined);
    }
    await client('upload', '-r', source, '/all');
  });

  it('ls, find, tree, du and stat tell them', async () => {
    const { entries } = await document<{ entries: { path: string }[] }>('ls', '/all/files');
    expect(entries.map(({ path }) => path)).toEqual(inBytes(below('/all/files')));
    expect((await client('ls', '/all/files')).toString()).toBe(
      inBytes(awkwardNames)
        .map((name) => `${name}\n`)
        .join(''),
    );
    const found = (await client('find', '-0', '--type', 'f', '/all')).toString().split('\0').slice(0, -1);
    const nested = awkwardNames.map((name) => `/all/directories/${name}/${name}`);
    expect(inBytes(found)).toEqual(inBytes([...below('/all/files'), ...nested]));
    const lines = (await client('tree', '/all/directories')).toString();
    for (const name of awkwardNames) expect(lines).toContain(name);
    const stats = (await client('--json', 'stat', '--', ...below('/all/files')))
      .toString()
      .trim()
      .split('\n');
    const described = stats.map((line) => JSON.parse(line) as { path: string; sizeBytes: number });
    expect(described.map(({ path, sizeBytes }) => [path, sizeBytes])).toEqual(
      awkwardNames.map((name) => [`/all/files/${name}`, contents.get(name)?.length]),
    );
    const sizeBytes = [...contents.values()].reduce((sum, { length }) => sum + length, 0);
    expect(await document('du', '/all/files')).toMatchObject({ sizeBytes, files: awkwardNames.length });
  });

  it('cat, head and tail read them', async () => {
    const all = Buffer.concat(awkwardNames.map((name) => contents.get(name) ?? Buffer.alloc(0)));
    expect((await client('cat', '--', ...below('/all/files'))).equals(all)).toBe(true);
    const cut = (take: (bytes: Buffer) => Buffer): Buffer =>
      Buffer.concat(awkwardNames.map((name) => take(contents.get(name) ?? Buffer.alloc(0))));
    const head = await client('head', '-q', '-c', '70000', '--', ...below('/all/files'));
    expect(head.equals(cut((bytes) => bytes.subarray(0, 70_000)))).toBe(true);
    const tail = await client('tail', '-q', '-c', '70000', '--', ...below('/all/files'));
    expect(tail.equals(cut((bytes) => bytes.subarray(Math.max(0, bytes.length - 70_000))))).toBe(true);
  });

  it('verify, diff and sync find nothing to do, and then what is', async () => {
    await client('verify', '-r', source, '/all');
    expect((await client('diff', '--checksum', source, ':/all')).toString()).toBe('');
    const changed = join(folder.path, 'changed');
    await cp(source, changed, { recursive: true, preserveTimestamps: true });
    for (const name of awkwardNames) await appendFile(join(changed, 'files', name), 'more');
    await client('sync', '--checksum', changed, ':/all');
    await client('verify', '-r', changed, '/all');
    const back = join(folder.path, 'synced');
    await client('sync', ':/all', back);
    expect(await fingerprint(back)).toEqual(await fingerprint(changed));
  });

  it('cp, mv and download take them elsewhere', async () => {
    await client('mkdir', '/other');
    await client('cp', '--', ...below('/all/files'), '/other');
    await client('verify', '-r', join(source, 'files'), '/other');
    await client('cp', '-r', '--', '/all', '/new');
    await client('verify', '-r', source, '/new');
    await client('rm', '-r', '/new');
    await client('mkdir', '/new');
    await client('mv', '--', ...below('/all/directories'), '/new');
    await client('verify', '-r', join(source, 'directories'), '/new');
    const back = join(folder.path, 'back');
    await mkdir(back);
    await client('download', '--', ...below('/other'), back);
    expect(await fingerprint(back)).toEqual(await fingerprint(join(source, 'files')));
    await client('download', '-r', '/new', join(folder.path, 'tree'));
    expect(await fingerprint(join(folder.path, 'tree'))).toEqual(
      await fingerprint(join(source, 'directories')),
    );
  });

  it('mkdir, rm, trash restore and trash empty', async () => {
    await client('mkdir', '/other');
    await client('mkdir', '--', ...below('/other'));
    await client('rm', '-r', '--', ...below('/other'));
    expect((await client('ls', '/other')).toString()).toBe('');
    await client('rm', '--', ...below('/all/files'));
    await client('trash', 'restore', '-r', '/all/files');
    await client('verify', '-r', source, '/all');
    await client('rm', '-r', '/all');
    await client('trash', 'empty', '--yes');
    expect((await client('trash', 'ls')).toString()).toBe('');
  });

  it.each(['line\nbreak', '*'])('upload, append, explain, verify and download of %j alone', async (name) => {
    const local = await mkdtemp(join(folder.path, 'alone-'));
    const bytes = seededBytes(seed, chunkSizeBytes + 1);
    await writeFile(join(local, name), bytes);
    const path = `/all/${name}`;
    const here = { cwd: local };
    const tracker = ['--tracker', cluster.trackerAddress];
    const words = ['upload', '--', name, path];
    expect(await run('client', [...tracker, ...words], here)).toMatchObject({ status: 0, stderr: '' });
    await client('append', '--', join(local, name), path);
    await appendFile(join(local, name), bytes);
    await client('verify', '--', join(local, name), path);
    expect(await document('explain', '--', path)).toMatchObject({ entry: { path } });
    const target = join(local, 'target');
    await client('download', '--force', '--', path, target);
    expect((await readFile(target)).equals(Buffer.concat([bytes, bytes]))).toBe(true);
    await client('rm', '--', path);
    expect((await readdir(local)).sort()).toEqual([name, 'target'].sort());
    // A name that reads as a pattern was no pattern.
    await client('verify', '-r', source, '/all');
  });
});

describe('a path that is not there', () => {
  const home = process.cwd();
  beforeAll(() => process.chdir(folder.path));
  afterAll(() => process.chdir(home));

  it.each([
    [['download', '/nothing', '.']],
    [['sync', ':/nothing', 'target']],
    [['diff', '.', ':/nothing']],
    [['verify', process.execPath, '/nothing']],
    ...['ls', 'tree', 'find', 'du', 'stat', 'cat', 'head', 'tail', 'rm', 'explain'].map((verb) => [
      [verb, '/nothing'],
    ]),
    [['cp', '/nothing', '/target']],
    [['mv', '/nothing', '/target']],
    [['mkdir', '/nothing/below']],
    [['trash', 'restore', '/nothing']],
  ])('is status 3 and a sentence: %j', async (words) => {
    const { status, stderr } = await runHere(['--tracker', cluster.trackerAddress, ...words]);
    expect({ status, stderr }).toMatchObject({ status: 3, stderr: expect.stringMatching(/\/nothing/) });
  });
});
