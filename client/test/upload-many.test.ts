/** Many files in one transfer: what each of them is told, whatever becomes of the others. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ByteBudget, HoldfastError } from '@holdfast/shared';
import { MemoryShare } from '../src/core/memory-share.js';
import { Outbox } from '../src/core/outbox.js';
import { contentDigest } from '../src/local/content-digest.js';
import { openLocalSource } from '../src/local/file-source.js';
import { bytesSource } from '../src/upload/bytes-source.js';
import type { ChunkSource } from '../src/upload/chunk-source.js';
import {
  type FileToUpload,
  type UploadManyOptions,
  type UploadOutcome,
  uploadMany,
} from '../src/upload/upload-many.js';
import { FakeCluster, hang } from './support/fake-cluster.js';

const KiB = 1024;
type File = FileToUpload<Buffer>;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const openBytes = async ({ source }: File): Promise<ChunkSource> => bytesSource(source);
const filesOf = (count: number, bytes = 100): File[] =>
  Array.from({ length: count }, (_, i) => ({ source: randomBytes(bytes), path: `/f${i}` }));

function many(
  cluster: FakeCluster,
  files: Iterable<File> | AsyncIterable<File>,
  options: UploadManyOptions = {},
  open = openBytes,
) {
  return uploadMany(cluster.context(), files, open, options);
}

async function all<T>(outcomes: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const outcome of outcomes) list.push(outcome);
  return list;
}

const codes = (outcomes: readonly UploadOutcome<File>[]) =>
  Object.fromEntries(outcomes.map(({ file, error }) => [file.path, error?.code ?? 'stored']));
const states = (cluster: FakeCluster) => new Set([...cluster.sessions.values()].map(({ state }) => state));

describe('many files', () => {
  it('share chunks and calls, and each is whole; large ones go beside them', async () => {
    const cluster = new FakeCluster();
    const files = [
      ...filesOf(1_500, 3 * KiB),
      { source: Buffer.alloc(0), path: '/empty' },
      { source: randomBytes(3 * 1024 * KiB), path: '/large' },
      { source: randomBytes(256 * KiB), path: '/medium', attributes: { mode: 0o600 } },
    ];
    let transferredBytes = 0;
    const outcomes = await all(
      many(cluster, files, { onProgress: (now) => (transferredBytes = now.transferredBytes) }),
    );
    expect(new Set(Object.values(codes(outcomes)))).toEqual(new Set(['stored']));
    expect(outcomes).toHaveLength(files.length);
    for (const { source, path } of files) expect(cluster.content(path)?.equals(source)).toBe(true);
    expect(transferredBytes).toBe(files.reduce((sum, { source }) => sum + source.length, 0));
    const medium = outcomes.find(({ file }) => file.path === '/medium')?.result;
    expect(medium).toMatchObject({ sizeBytes: 256 * KiB, copies: { chunks: 1, fewest: 3 } });
    const { entry } = cluster.versions.get(medium!.version)!;
    expect(entry.attributes).toEqual({ mode: 0o600 });
    expect(entry.contentDigest).toBe(await contentDigest(files.at(-1)!.source));
    expect(cluster.called('commitUpload')).toBeLessThan(6);
  });

  it('costs one file of them what it costs alone', async () => {
    const cluster = new FakeCluster();
    await all(many(cluster, filesOf(1)));
    expect(cluster.calls).toEqual(['beginUpload', 'write 1', 'commitUpload']);
    await all(many(cluster, []));
    expect(cluster.calls).toHaveLength(3);
  });

  it('refuses one without the others', async () => {
    const cluster = new FakeCluster();
    cluster.put('/f1', Buffer.from('there before'));
    cluster.paths.set('/f2', 'directory');
    const files: File[] = [
      ...filesOf(3),
      { source: Buffer.from('x'), path: '/none/below' },
      { source: Buffer.from('x'), path: '/f1/below', createParents: false },
      { source: Buffer.from('x'), path: 'relative' },
      { source: Buffer.from('x'), path: '/' },
      { source: Buffer.from('x'), path: '/mode', attributes: { mode: -1 } },
      { source: Buffer.from('x'), path: '/gone' },
      { source: Buffer.from('x'), path: '/changes' },
      { source: Buffer.from('last'), path: '/made/last', createParents: true },
    ];
    const open = async (file: File): Promise<ChunkSource> => {
      if (file.path === '/gone') throw new HoldfastError('NOT_FOUND', 'no such file');
      const source = bytesSource(file.source);
      if (file.path !== '/changes') return source;
      const readWhole = () => Promise.reject(new HoldfastError('SOURCE_CHANGED', 'it grows'));
      return { ...source, readWhole };
    };
    expect(codes(await all(many(cluster, files, {}, open)))).toEqual({
      ...{ '/f0': 'stored', '/f1': 'ALREADY_EXISTS', '/f2': 'ALREADY_EXISTS' },
      ...{ '/none/below': 'NOT_FOUND', '/f1/below': 'NOT_A_DIRECTORY' },
      ...{ relative: 'INVALID_ARGUMENT', '/': 'IS_A_DIRECTORY', '/mode': 'INVALID_ARGUMENT' },
      ...{ '/gone': 'NOT_FOUND', '/changes': 'SOURCE_CHANGED', '/made/last': 'stored' },
    });
    expect(cluster.content('/made/last')?.toString()).toBe('last');
    expect(cluster.content('/f1')?.toString()).toBe('there before');
  });

  it('refuses by itself what a program hands over by mistake, and never stores it all the same', async () => {
    const cluster = new FakeCluster();
    const source = Buffer.from('new');
    const mistakes: Record<string, unknown>[] = [
      ...[-1, '3', NaN, null].map((expectedVersion) => ({ expectedVersion })),
      ...[{ createParents: 'yes' }, { attributes: 5 }, { path: 7 }, { path: undefined }],
    ];
    const wrong = mistakes.map((mistake, n) => ({ source, path: `/wrong-${n}`, ...mistake }));
    const outcomes = await all(
      many(cluster, [{ source, path: '/a' }, ...wrong, { source, path: '/z' }], { overwrite: true }),
    );
    const refused = outcomes.filter(({ error }) => error?.code === 'INVALID_ARGUMENT');
    expect(refused.map(({ file }) => file).sort()).toEqual([...wrong].sort());
    expect([...cluster.paths.keys()].filter((path) => path !== '/').sort()).toEqual(['/a', '/z']);
  });

  it('throws at what is no file at all, after all that came before', async () => {
    const cluster = new FakeCluster();
    for (const mistake of [null, undefined, 7, '/name']) {
      const [first] = filesOf(1);
      const outcomes = many(cluster, [first, mistake] as File[], { overwrite: true });
      expect((await outcomes.next()).value).toMatchObject({ file: first, result: { path: '/f0' } });
      await expect(outcomes.next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it('sends little when all is there already, and only what is not', async () => {
    const cluster = new FakeCluster();
    const files = filesOf(20_000, 1);
    const last = { source: Buffer.from('new'), path: '/new' };
    await all(many(cluster, files));
    cluster.calls.length = 0;
    const outcomes = await all(many(cluster, [...files, last]));
    expect(outcomes.filter(({ error }) => error?.code === 'ALREADY_EXISTS')).toHaveLength(files.length);
    expect(cluster.content('/new')).toEqual(last.source);
    expect(cluster.called('beginUpload')).toBeLessThan(12);
    const { extents } = cluster.versions.get(cluster.paths.get('/new') as number)!;
    expect(extents).toMatchObject([{ chunkOffset: 0, lengthBytes: 3 }]);
  });

  it('replaces what it may', async () => {
    const cluster = new FakeCluster();
    const { version } = cluster.put('/exact', Buffer.from('old'));
    cluster.put('/any', Buffer.from('old'));
    const source = Buffer.from('new');
    const files = [
      { source, path: '/exact', expectedVersion: version },
      { source, path: '/any' },
      { source, path: '/conflict', expectedVersion: 99 },
    ];
    expect(codes(await all(many(cluster, files, { overwrite: true })))).toEqual({
      ...{ '/exact': 'stored', '/any': 'stored', '/conflict': 'VERSION_CONFLICT' },
    });
    expect(cluster.content('/exact')).toEqual(source);
  });

  it('lets the later one of two with one path be the later one', async () => {
    const cluster = new FakeCluster();
    const files = Array.from({ length: 20 }, (_, i) => ({ source: Buffer.from(`${i}`), path: `/${i % 2}` }));
    await all(many(cluster, files, { overwrite: true }));
    expect(cluster.content('/0')?.toString()).toBe('18');
    expect(cluster.content('/1')?.toString()).toBe('19');
    const again = await all(many(cluster, files.slice(0, 2)));
    expect(codes(again)).toEqual({ '/0': 'ALREADY_EXISTS', '/1': 'ALREADY_EXISTS' });
  });

  it('sends what it has when whoever makes the files is slow', async () => {
    const cluster = new FakeCluster();
    let stored = (): void => undefined;
    const first = new Promise<void>((resolve) => (stored = resolve));
    async function* slow(): AsyncGenerator<File> {
      yield { source: Buffer.from('1'), path: '/1' };
      // Would wait for ever if the first one waited for the second one.
      await first;
      yield { source: Buffer.from('2'), path: '/2' };
    }
    for await (const { file } of many(cluster, slow())) if (file.path === '/1') stored();
    expect(cluster.content('/2')?.toString()).toBe('2');
  });

  it('tells what the iterable throws after what it gave', async () => {
    const cluster = new FakeCluster();
    function* broken(): Generator<File> {
      yield* filesOf(3);
      throw new Error('no more');
    }
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { file, result } of many(cluster, broken())) if (result) seen.push(file.path);
    })();
    await expect(reading).rejects.toThrow('no more');
    expect(seen).toEqual(['/f0', '/f1', '/f2']);
  });
});

describe('many files and a failing cluster', () => {
  it('go elsewhere when a keeper fails', async () => {
    const cluster = new FakeCluster(4);
    cluster.keeper(1).faults.write = () => {
      throw new HoldfastError('UNAVAILABLE', 'connection refused');
    };
    const files = filesOf(50, 4 * KiB);
    expect(new Set(Object.values(codes(await all(many(cluster, files)))))).toEqual(new Set(['stored']));
    for (const { source, path } of files) expect(cluster.content(path)?.equals(source)).toBe(true);
  });

  it('ask again with the same request_id when the answer to a commit is lost', async () => {
    const cluster = new FakeCluster();
    const requestIds = new Set<string>();
    let lost = 0;
    cluster.before = (name, request) => {
      if (name === 'commitUpload') requestIds.add((request as { requestId: string }).requestId);
    };
    cluster.after = (name) => {
      if (name === 'commitUpload' && lost++ < 3) throw new HoldfastError('DEADLINE_EXCEEDED', 'no answer');
    };
    expect(codes(await all(many(cluster, filesOf(2))))).toEqual({ '/f0': 'stored', '/f1': 'stored' });
    expect(requestIds.size).toBe(1);
  });

  it('say of each file that nobody knows when the tracker is lost in the commit', async () => {
    const cluster = new FakeCluster();
    cluster.before = (name) => {
      if (name === 'commitUpload' || name === 'abortUpload') throw new HoldfastError('UNAVAILABLE', 'gone');
    };
    for (const { file, error } of await all(many(cluster, filesOf(3)))) {
      expect(error).toMatchObject({ code: 'UNAVAILABLE', facts: { outcome: 'unknown', path: file.path } });
      expect(error?.message).toContain(file.path);
    }
  });

  it('each are told what keeps the pack from being stored', async () => {
    const cluster = new FakeCluster(1);
    expect(codes(await all(many(cluster, filesOf(2))))).toEqual({
      ...{ '/f0': 'NOT_ENOUGH_KEEPERS', '/f1': 'NOT_ENOUGH_KEEPERS' },
    });
    expect(states(cluster).has('open')).toBe(false);
  });
});

describe('a transfer of many that ends early', () => {
  it('gives up what is underway, and yields what was stored before', async () => {
    const cluster = new FakeCluster();
    const abort = new AbortController();
    let written = 0;
    // Of the chunks, the first one is stored, and the others hang.
    for (const keeper of cluster.keepers) {
      keeper.faults.write = (chunkId, signal) => (written++ === 0 ? undefined : hang(chunkId, signal));
    }
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { file, result } of many(cluster, filesOf(2_500, 4 * KiB), { signal: abort.signal })) {
        if (result) seen.push(file.path);
        while (cluster.sessions.size < 2) await turn();
        abort.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(seen.length).toBeGreaterThan(0);
    expect(cluster.versions.size).toBe(seen.length);
    expect([...states(cluster)].sort()).toEqual(['aborted', 'committed']);
  });

  it('stops when the loop is left, and closes every source', async () => {
    const cluster = new FakeCluster();
    let isOpen = 0;
    let mostOpen = 0;
    let returned = false;
    function* endless(): Generator<File> {
      try {
        for (let i = 0; ; i += 1) yield { source: Buffer.alloc(64 * KiB), path: `/${i}` };
      } finally {
        returned = true;
      }
    }
    const open = async ({ source }: File): Promise<ChunkSource> => {
      mostOpen = Math.max(mostOpen, (isOpen += 1));
      return { ...bytesSource(source), close: async () => void (isOpen -= 1) };
    };
    for await (const { result } of many(cluster, endless(), {}, open)) if (result) break;
    expect({ isOpen, returned }).toEqual({ isOpen: 0, returned: true });
    expect(mostOpen).toBeLessThanOrEqual(16);
    expect(states(cluster).has('open')).toBe(false);
  });

  it('asks for no more files than somebody takes outcomes of', async () => {
    const cluster = new FakeCluster();
    let asked = 0;
    function* endless(): Generator<File> {
      for (;;) yield { source: Buffer.alloc(0), path: `/${asked++}` };
    }
    const outcomes = many(cluster, endless());
    await outcomes.next();
    for (let turns = 0; turns < 2_000; turns += 1) await turn();
    expect(asked).toBeLessThan(20_000);
    await outcomes.return();
  });

  it('holds no more memory than it may', async () => {
    const cluster = new FakeCluster();
    const memory = new ByteBudget(10 * 1024 * KiB);
    let most = 0;
    cluster.before = () => void (most = Math.max(most, memory.usedBytes));
    const outcomes = uploadMany({ ...cluster.context(), memory }, filesOf(300, 128 * KiB), openBytes);
    expect(await all(outcomes)).toHaveLength(300);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(10 * 1024 * KiB);
    expect(memory.usedBytes).toBe(0);
  });
});

describe('a local file that is read whole', () => {
  it('is refused when it changes after it was opened', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'holdfast-many-'));
    try {
      const path = join(dir, 'file');
      const target = Buffer.alloc(5);
      const opened = async () => {
        await writeFile(path, 'hello');
        return openLocalSource(path, new MemoryShare(new ByteBudget(1024)));
      };
      const whole = await opened();
      await whole.readWhole?.(target);
      expect(target.toString()).toBe('hello');
      await whole.close();
      for (const change of [
        () => writeFile(path, 'hell'),
        () => writeFile(path, 'hello, world'),
        () => utimes(path, 1, 1),
      ]) {
        const source = await opened();
        await change();
        await expect(source.readWhole?.(target)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
        await source.close();
      }
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

describe('an outbox', () => {
  it('gives all in order, then its end', async () => {
    const outbox = new Outbox<number>(2);
    const taking = all(outbox.items());
    outbox.put(1);
    outbox.put(2);
    await turn();
    outbox.put(3);
    outbox.end();
    expect(await taking).toEqual([1, 2, 3]);
  });
});
