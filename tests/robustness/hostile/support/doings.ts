/**
 * What a client does among lying servers, with the library and the command line, and what must be true of each when it
 * ends well: nothing is stored, read or written that is not what it is said to be.
 */
import type { HoldfastClient } from '@holdfast/client';
import { readFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { fingerprint, readAll, seededBytes } from '../../../support/files.js';
import type { Choices } from './random.js';

export interface Scene {
  readonly client: HoldfastClient;
  /** Of one who hears the truth. */
  readonly honest: HoldfastClient;
  readonly choices: Choices;
  readonly signal: AbortSignal;
  /** Of this attempt alone, and empty. */
  readonly folder: string;
  /** A path that nobody has had, in a directory that is there. */
  readonly fresh: string;
  /** Files that are there and stay, by path: long ones, and below /tree short ones. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Whose word is it that a file has these bytes: what it says is to be held against what keepers give. */
  readonly trackerIsHonest: boolean;
  readonly keeperId: string;
  /** The command line on a terminal; resolves to its exit status. */
  cli(...args: readonly string[]): Promise<number>;
}

/** Rejects with a Wrong if what came of it must not be; with anything else if it failed. */
export type Doing = (scene: Scene) => Promise<unknown>;

/** Something came about that never may. */
export class Wrong extends Error {}

function insist(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Wrong(what);
}

/** What goes on without an end is left after so many. */
const enough = 2_000;
/** Long enough for the first words of a watch, which has no end. */
const watchedMs = 200;
/** More than there is of anything: a list that goes on has no end. */
const tooMany = 1_000_000;

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) insist(found.push(item) < tooMany, 'a list has no end');
  return found;
}

async function some(items: AsyncIterable<unknown>): Promise<void> {
  let count = 0;
  for await (const item of items) if (item === undefined || ++count > enough) return;
}

const aFile = ({ choices, files }: Scene): [string, Buffer] => choices.one([...files]);

const aRange = ({ choices }: Scene, length: number): { start: number; end: number } => {
  const start = choices.below(length);
  return { start, end: start + choices.below(length - start) };
};

function checkBytes({ trackerIsHonest }: Scene, found: Buffer, expected: Buffer): void {
  insist(!trackerIsHonest || found.equals(expected), 'other bytes were given than those of the file');
}

/** Nothing is in the folder but `name` and what is below it, and of no file a part. */
async function checkWritten({ folder }: Scene, name: string): Promise<void> {
  for (const found of (await fingerprint(folder)).keys()) {
    const isMeant = found === name || found.startsWith(`${name}/`);
    insist(isMeant && !found.endsWith('.part'), `${JSON.stringify(found)} was written`);
  }
}

async function checkTree(scene: Scene, name: string, remote: string): Promise<void> {
  await checkWritten(scene, name);
  const found = await fingerprint(join(scene.folder, name)).catch(() => new Map<string, string>());
  for (const [path, is] of found) {
    const bytes = scene.files.get(posix.join(remote, path));
    if (is === 'dir' || !scene.trackerIsHonest) continue;
    const written = await readFile(join(scene.folder, name, path));
    insist(bytes?.equals(written) === true, `${JSON.stringify(path)} was written with other bytes`);
  }
}

/** Stored means stored: whoever hears the truth finds it. */
async function checkStored({ honest }: Scene, path: string, bytes: Buffer): Promise<void> {
  const found = await honest.readFile(path).catch((error: unknown) => String(error));
  insist(Buffer.isBuffer(found) && found.equals(bytes), `${path} was acknowledged, and is: ${String(found)}`);
}

const newBytes = ({ choices }: Scene): Buffer =>
  seededBytes(choices.below(2 ** 31), choices.one([0, 1, 5_000, 65_536, 200_000]));

const chunkSizeBytes = 64 * 1024;

const ofTheLibrary: Readonly<Record<string, Doing>> = {
  stat: async (scene) => {
    const [path] = aFile(scene);
    const found = await scene.client.stat(path, scene);
    insist(found.path === path, `the entry of ${JSON.stringify(found.path)} for ${path}`);
  },
  list: async ({ client, signal }) => {
    const found = (await all(client.list('/tree', { depth: Infinity, signal }))).map(({ path }) => path);
    insist(new Set(found).size === found.length, 'an entry was listed twice');
  },
  readFile: async (scene) => {
    const [path, bytes] = aFile(scene);
    const found = await scene.client.readFile(path, scene);
    // Who asks by path alone does not know the digest of a file that shares its chunk with others.
    if (!path.startsWith('/tree/')) checkBytes(scene, found, bytes);
  },
  readRange: async (scene) => {
    const [path, bytes] = aFile(scene);
    const { start, end } = aRange(scene, bytes.length);
    await readAll(scene.client.createReadStream(path, { start, end, signal: scene.signal }));
  },
  download: async (scene) => {
    const [path, bytes] = aFile(scene);
    const to = join(scene.folder, 'one');
    const options = { signal: scene.signal, resume: scene.choices.once(2) };
    try {
      await scene.client.download(path, to, options);
      checkBytes(scene, await readFile(to), bytes);
    } finally {
      await checkWritten(scene, 'one');
    }
  },
  downloadMany: async (scene) => {
    const { client, signal, folder, files } = scene;
    const entries = await all(client.list('/tree', { depth: Infinity, signal }));
    const wanted = entries
      .filter(({ type }) => type === 'file')
      .map((entry, index) => ({ entry, localPath: join(folder, `got-${index}`) }));
    for await (const { file, error } of client.downloadMany(wanted, { signal })) {
      if (error !== undefined) continue;
      const expected = files.get(file.entry.path);
      if (expected) checkBytes(scene, await readFile(file.localPath), expected);
    }
  },
  compare: async (scene) => {
    const [path] = aFile(scene);
    await scene.client.compare(import.meta.filename, path, scene);
  },
  upload: async (scene) => {
    const { client, fresh, signal } = scene;
    const bytes = newBytes(scene);
    const result = await client.upload(bytes, fresh, { signal, chunkSizeBytes });
    insist(result.path === fresh && result.sizeBytes === bytes.length, 'another upload was acknowledged');
    await checkStored(scene, fresh, bytes);
  },
  uploadMany: async (scene) => {
    const { client, fresh, signal, choices } = scene;
    const files = Array.from({ length: 1 + choices.below(20) }, (_, index) => ({
      ...{ path: `${fresh}-${index}`, source: newBytes(scene) },
    }));
    for await (const { file, result } of client.uploadMany(files, { signal })) {
      if (!result) continue;
      insist(
        result.path === file.path && result.sizeBytes === file.source.length,
        'another was acknowledged',
      );
      await checkStored(scene, file.path, file.source);
    }
  },
  append: async (scene) => {
    const { client, honest, fresh, signal } = scene;
    const [bytes, more] = [newBytes(scene), newBytes(scene)];
    await honest.upload(bytes, fresh);
    await client.append(more, fresh, { signal });
    await checkStored(scene, fresh, Buffer.concat([bytes, more]));
  },
  copyMoveRemoveRestore: async (scene) => {
    const { client, honest, fresh, signal } = scene;
    const [path, bytes] = aFile(scene);
    const copied = await client.copy(path, fresh, { signal });
    insist(copied.path === fresh, 'another copy was acknowledged');
    await checkStored(scene, fresh, bytes);
    const moved = await client.move(fresh, `${fresh}-moved`, { signal });
    insist(moved.path === `${fresh}-moved`, 'another move was acknowledged');
    await checkStored(scene, `${fresh}-moved`, bytes);
    await client.remove(`${fresh}-moved`, { signal });
    const left = await honest.stat(`${fresh}-moved`).catch(() => undefined);
    insist(left === undefined, 'what was removed is there');
    await all(client.listTrash('/', { signal }));
  },
  makeDirectory: async ({ client, honest, fresh, signal }) => {
    const made = await client.makeDirectory(fresh, { signal });
    insist(made.path === fresh, 'another directory was acknowledged');
    insist((await honest.stat(fresh)).type === 'directory', 'a directory was acknowledged, and is not there');
  },
  watch: async ({ client, signal }) => {
    const cursor = await client.watchCursor({ signal });
    const left = new AbortController();
    const leave = (): void => left.abort();
    signal.addEventListener('abort', leave, { once: true });
    const timer = setTimeout(leave, watchedMs);
    try {
      await some(client.watch('/', { cursor, signal: left.signal }));
    } catch (error) {
      if (!left.signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
    }
  },
  status: ({ client, signal }) => client.status({ signal }),
  keepers: ({ client, signal }) => client.keepers({ signal }),
  explain: async (scene) => all(scene.client.explain(aFile(scene)[0], scene)),
  events: ({ client, signal, choices }) =>
    all(client.events({ signal, ...(choices.once(2) && { afterEventId: 0 }) })),
  previewKeeperLoss: ({ client, signal, keeperId }) => client.previewKeeperLoss([keeperId], { signal }),
  jobs: async ({ client, signal }) => {
    const [job] = await all(client.listJobs({ signal }));
    if (job) await client.getJob(job.jobId, { signal });
  },
  check: ({ client, signal }) => client.check({ signal }),
};

/** By what is typed; FILE is any file, FRESH a new path. */
const lines: readonly string[] = [
  ...[
    'ls -l /tree',
    'ls -lR /tree',
    'tree /tree',
    'find /tree',
    'du /tree',
    'stat FILE',
    'status',
    'keepers',
  ],
  ...['explain FILE', 'events', 'jobs', 'trash ls', 'fsck', 'what-if KEEPER', 'mkdir FRESH', 'cp FILE FRESH'],
  ...['mv -n FILE FRESH/none', 'rm FRESH', 'ls --json /tree', 'status --json', 'head -c 10 FILE'],
];

const typed: readonly Doing[] = lines.map((line) => async (scene) => {
  const words = line.split(' ').map((word) => {
    if (word === 'FILE') return aFile(scene)[0];
    return word === 'KEEPER' ? scene.keeperId : word.replace('FRESH', scene.fresh);
  });
  await scene.cli(...words);
});

const ofTheCommandLine: Readonly<Record<string, Doing>> = {
  ...Object.fromEntries(lines.map((line, index) => [`client ${line}`, typed[index]!])),
  'client download -r': async (scene) => {
    await scene.cli('download', '-r', '--quiet', '/tree', join(scene.folder, 'got'));
    await checkTree(scene, 'got', '/tree');
  },
  'client sync down': async (scene) => {
    await scene.cli('sync', '--quiet', ':/tree', join(scene.folder, 'got'));
    await checkTree(scene, 'got', '/tree');
  },
  'client verify': (scene) => scene.cli('verify', '--quiet', import.meta.dirname, '/tree'),
};

/** All that is done, by what it is called. */
export const doings: Readonly<Record<string, Doing>> = { ...ofTheLibrary, ...ofTheCommandLine };
