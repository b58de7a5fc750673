/** The verbs that look at and copy whole trees, and those that show a part of a file. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { HoldfastError } from '@holdfast/shared';
import { firstLines, startOfLastLines } from '../src/cli/lines.js';
import { namePattern } from '../src/cli/name-pattern.js';
import { list } from '../src/namespace/namespace.js';
import { FakeCluster } from './support/fake-cluster.js';
import { cli } from './support/run-cli.js';

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
  for (const path of ['/a', '/a/empty', '/a/sub', '/b', '/b.d']) cluster.paths.set(path, 'directory');
  cluster.put('/a/1.txt', Buffer.alloc(10));
  cluster.put('/a/sub/2.TXT', Buffer.alloc(2_048));
  cluster.put('/a/sub/.3', Buffer.alloc(0));
  cluster.put('/b/1.txt', Buffer.alloc(5));
});

const lines = (stdout: string): string[] => stdout.trimEnd().split('\n');

describe('a listing with a depth', () => {
  const listed = async (path: string, depth?: number): Promise<string[]> => {
    const found: string[] = [];
    const entries = list(cluster.context(), path, depth === undefined ? {} : { depth });
    for await (const entry of entries) found.push(entry.path);
    return found;
  };
  const all = ['/a', '/a/1.txt', '/a/empty', '/a/sub', '/a/sub/.3', '/a/sub/2.TXT', '/b', '/b/1.txt', '/b.d'];

  it('has each directory before what is in it, down to the depth', async () => {
    expect(await listed('/')).toEqual(['/a', '/b', '/b.d']);
    expect(await listed('/', 2)).toEqual(all.filter((path) => !path.startsWith('/a/sub/')));
    expect(await listed('/', Infinity)).toEqual(all);
  });

  it('goes on when a directory has gone meanwhile, but not without the one that was asked for', async () => {
    cluster.before = (name, request) => {
      if (name === 'listEntries' && request === '/a/sub') {
        throw new HoldfastError('NOT_FOUND', 'no entry /a/sub');
      }
    };
    expect(await listed('/', Infinity)).toEqual(all.filter((path) => !path.startsWith('/a/sub/')));
    await expect(listed('/a/sub', Infinity)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each([0, -1, Number.NaN])('refuses %d', async (depth) => {
    await expect(listed('/', depth)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('find', () => {
  it.each<[string[], string[]]>([
    [['/b'], ['/b', '/b/1.txt']],
    [['/b/1.txt'], ['/b/1.txt']],
    [
      ['--name', '*.txt'],
      ['/a/1.txt', '/b/1.txt'],
    ],
    [
      ['--iname', '*.t[xy]t'],
      ['/a/1.txt', '/a/sub/2.TXT', '/b/1.txt'],
    ],
    [['--name', '[.]?'], ['/a/sub/.3']],
    [
      ['--name', '*', '--type', 'd', '--depth', '1'],
      ['/', '/a', '/b', '/b.d'],
    ],
    [
      ['/a', '--min-size', '10', '--max-size', '2KiB'],
      ['/a/1.txt', '/a/sub/2.TXT'],
    ],
    [['--newer', '1h'], []],
    [
      ['/b', '/a/sub', '--type', 'f', '--older', '30d'],
      ['/b/1.txt', '/a/sub/.3', '/a/sub/2.TXT'],
    ],
  ])('%j', async (argv, found) => {
    const { status, stdout, stderr } = await cli(cluster, ['find', ...argv]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout === '' ? [] : lines(stdout)).toEqual(found);
    const { stdout: nul } = await cli(cluster, ['find', '-0', ...argv]);
    expect(nul.split('\0').slice(0, -1)).toEqual(found);
    const { stdout: json } = await cli(cluster, ['find', '--json', ...argv]);
    const paths = json === '' ? [] : lines(json).map((line) => (JSON.parse(line) as { path: string }).path);
    expect(paths).toEqual(found);
  });

  it.each([
    [['--name', 'a/b'], /a name has none/],
    [['--name', '[z-a]'], /--name: "z-a" is no range/],
    [['--type', 'x'], /expected f or d/],
    [['--min-size', 'big'], /--min-size/],
    [['--newer', '5'], /--newer/],
    [['--depth', '-1'], /--depth/],
  ])('refuses %j', async (argv, message) => {
    const { status, stderr } = await cli(cluster, ['find', ...argv]);
    expect({ status, calls: cluster.calls }).toEqual({ status: 2, calls: [] });
    expect(stderr).toMatch(message);
  });
});

describe('a pattern for names', () => {
  it.each<[string, string[], string[]]>([
    ['*', ['', 'a', '.a', 'a\nb', '\n'], []],
    ['*.txt', ['.txt', 'a.txt', 'a.txt.txt'], ['a.txtx', 'atxt']],
    ['a*b*c', ['abc', 'a--b--b--c'], ['ab', 'acb', 'abcd']],
    ['?', ['a', '😀', '\n'], ['', 'ab']],
    ['[a-cx]', ['a', 'c', 'x'], ['d', 'ab', '']],
    ['[!a-c]*', ['d', '!'], ['a', 'cd', '']],
    ['[^a]', ['b', '^'], ['a']],
    ['[]]', [']'], ['[]]']],
    ['[!]]', ['a'], [']']],
    ['[a-]', ['a', '-'], ['b']],
    ['[', ['['], ['a']],
    ['a[b', ['a[b'], ['ab']],
    ['!x', ['!x'], ['y', 'x']],
    ['*(1).jpg', ['photo(1).jpg'], ['11.jpg', '1.jpg']],
    ['IMG (*)', ['IMG (1)'], ['IMG 1']],
    ['a|b', ['a|b'], ['a', 'b']],
    ['{a,b}', ['{a,b}'], ['a']],
    ['\\*', ['*'], ['a']],
    ['a\\', ['a\\'], ['a']],
    ['', [''], ['a']],
  ])('%j', (glob, matching, others) => {
    const matches = namePattern(glob);
    expect([...matching, ...others].filter(matches)).toEqual(matching);
  });

  it('takes both cases if asked to, and no more time than it should', () => {
    expect(['A.TXT', 'a.txt', 'é', 'É'].filter(namePattern('[a-zÉ]*', { anyCase: true }))).toHaveLength(4);
    // Minutes, with a regular expression.
    expect(namePattern('*a'.repeat(60) + 'b')('a'.repeat(255))).toBe(false);
  });
});

describe('tree', () => {
  it('goes on when a directory has gone since its line was drawn', async () => {
    cluster.before = (name, request) => {
      if (name === 'listEntries' && request === '/a/sub') throw new HoldfastError('NOT_FOUND', 'no entry');
    };
    const { status, stdout } = await cli(cluster, ['tree', '/a']);
    expect(status).toBe(0);
    expect(stdout).toContain('└── sub/\n2 directories, 1 file\n');
  });

  it('draws what is below a directory', async () => {
    expect((await cli(cluster, ['tree'])).stdout).toBe(
      [
        '/',
        '├── a/',
        '│   ├── 1.txt',
        '│   ├── empty/',
        '│   └── sub/',
        '│       ├── .3',
        '│       └── 2.TXT',
        '├── b/',
        '│   └── 1.txt',
        '└── b.d/',
        '5 directories, 4 files',
        '',
      ].join('\n'),
    );
    expect((await cli(cluster, ['tree', '-L', '1', '-d', '/a'])).stdout).toBe(
      ['/a', '├── empty/', '└── sub/', '2 directories', ''].join('\n'),
    );
    expect((await cli(cluster, ['tree', '-s', '/b'])).stdout).toContain('└── 1.txt (5 B)');
  });

  it('is one document for each entry with --json', async () => {
    const { documents } = await cli(cluster, ['tree', '--json', '/b']);
    expect(documents.map(({ path }) => path)).toEqual(['/b', '/b/1.txt']);
  });
});

describe('du', () => {
  const sums = async (...argv: string[]) => (await cli(cluster, ['du', '--json', ...argv])).documents;

  it('sums up each directory with all that is below it, and with its copies', async () => {
    expect(await sums('/a')).toEqual([
      { path: '/a/empty', files: 0, sizeBytes: 0, storedBytes: 0 },
      { path: '/a/sub', files: 2, sizeBytes: 2_048, storedBytes: 6_144 },
      { path: '/a', files: 3, sizeBytes: 2_058, storedBytes: 6_174 },
    ]);
    expect(await sums('-s', '/a', '/b/1.txt')).toMatchObject([
      { path: '/a', sizeBytes: 2_058 },
      { path: '/b/1.txt', files: 1, sizeBytes: 5 },
    ]);
    expect((await sums('--depth', '1')).map(({ path }) => path)).toEqual(['/a', '/b', '/b.d', '/']);
  });

  it('has words for people', async () => {
    expect((await cli(cluster, ['du', '-s', '/a/sub'])).stdout).toMatch(
      /2 KiB +6 KiB stored +2 files +\/a\/sub/,
    );
    expect((await cli(cluster, ['du', '-s', '-b', '/a/sub'])).stdout).toMatch(/2048 +6144 stored/);
  });
});

describe('cp', () => {
  it.each<[string[], Record<string, string>]>([
    [['/a/1.txt', '/new'], { '/new': '/a/1.txt' }],
    [['/a/1.txt', '/b.d'], { '/b.d/1.txt': '/a/1.txt' }],
    [['/a/1.txt', '/a/sub/2.TXT', '/b.d/'], { '/b.d/1.txt': '/a/1.txt', '/b.d/2.TXT': '/a/sub/2.TXT' }],
    [['-f', '/a/1.txt', '/b'], { '/b/1.txt': '/a/1.txt' }],
    [['-r', '/a', '/new'], { '/new/1.txt': '/a/1.txt', '/new/sub/2.TXT': '/a/sub/2.TXT' }],
    [['-r', '/a', '/b.d'], { '/b.d/a/sub/.3': '/a/sub/.3' }],
  ])('%j', async (argv, expected) => {
    const { status, stderr } = await cli(cluster, ['cp', ...argv]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const [copy, original] of Object.entries(expected)) {
      expect(cluster.content(copy)).toEqual(cluster.content(original));
    }
    expect(cluster.calls.filter((call) => call.startsWith('write'))).toEqual([]);
  });

  it('makes directories that have nothing in them', async () => {
    await cli(cluster, ['cp', '-r', '/a', '/new']);
    expect(cluster.paths.get('/new/empty')).toBe('directory');
  });

  it.each<[string[], number, RegExp]>([
    [['/a', '/new'], 4, /Use -r/],
    [['-r', '/a', '/a/sub/new'], 2, /into itself/],
    [['-r', '/a', '/a'], 2, /into itself/],
    [['-f', '/b/1.txt', '/b/1.txt'], 2, /onto itself/],
    [['-r', '/', '/new'], 2, /"\/" cannot be copied/],
    [['/a/1.txt', '/b'], 4, /exists/],
    [['/nothing', '/new'], 3, /nothing/],
    [['/a/1.txt', '/b/1.txt', '/new'], 3, /no remote directory/],
    [['/a/1.txt', '/nowhere/x'], 3, /parent|nowhere/],
  ])('refuses %j with %i', async (argv, expected, message) => {
    const { status, stderr } = await cli(cluster, ['cp', ...argv]);
    expect(stderr).toMatch(message);
    expect(status).toBe(expected);
  });

  it('leaves out what is below a directory that cannot be made, and makes no parents', async () => {
    cluster.paths.set('/new', 'directory');
    cluster.paths.set('/new/a', 'directory');
    cluster.put('/new/a/sub', Buffer.from('a file'));
    const { status, stderr } = await cli(cluster, ['cp', '-r', '/a', '/new']);
    expect({ status, stderr }).toEqual({
      status: 4,
      stderr: expect.stringMatching(/"\/new\/a\/sub" is a file/),
    });
    expect(cluster.content('/new/a/1.txt')).toHaveLength(10);
    expect(cluster.content('/new/a/sub')?.toString()).toBe('a file');
    expect((await cli(cluster, ['cp', '-r', '/a', '/typo/new'])).status).toBe(3);
    expect(cluster.paths.has('/typo')).toBe(false);
  });

  it('goes on after a file that cannot be copied, and says so in its status', async () => {
    cluster.put('/new/1.txt', Buffer.from('other'));
    cluster.paths.set('/new', 'directory');
    const { status, stderr } = await cli(cluster, ['cp', '-r', '/b', '/a/1.txt', '/a/sub/2.TXT', '/new']);
    expect(status).toBe(4);
    expect(stderr).toMatch(/exists/);
    expect(cluster.content('/new/b/1.txt')).toHaveLength(5);
    expect(cluster.content('/new/2.TXT')).toHaveLength(2_048);
    expect(cluster.content('/new/1.txt')?.toString()).toBe('other');
  });
});

describe('head and tail', () => {
  const text = Array.from({ length: 25 }, (_, index) => `line ${index + 1}\n`).join('');
  const lastOf = (count: number): string =>
    lines(text)
      .slice(25 - count)
      .join('\n');
  beforeEach(() => {
    cluster.put('/text', Buffer.from(text));
    cluster.put('/open', Buffer.from('one\ntwo'));
    cluster.put('/none', Buffer.alloc(0));
  });

  it.each<[string[], string]>([
    [['head', '/text'], `${lines(text).slice(0, 10).join('\n')}\n`],
    [['head', '-n', '2', '/text'], 'line 1\nline 2\n'],
    [['head', '-n', '0', '/text'], ''],
    [['head', '-n', '99', '/open'], 'one\ntwo'],
    [['head', '-c', '6', '/text'], 'line 1'],
    [['head', '-c', '0', '/text'], ''],
    [['head', '-c', '1MiB', '/none'], ''],
    [['tail', '/text'], `${lastOf(10)}\n`],
    [['tail', '-n', '1', '/open'], 'two'],
    [['tail', '-n', '2', '/open'], 'one\ntwo'],
    [['tail', '-n', '0', '/text'], ''],
    [['tail', '-n', '99', '/text'], text],
    [['tail', '-c', '3', '/open'], 'two'],
    [['tail', '/none'], ''],
    [['head', '-n', '1', '/open', '/text'], '==> /open <==\none\n\n==> /text <==\nline 1\n'],
    [['tail', '-q', '-n', '1', '/open', '/text'], 'twoline 25\n'],
  ])('%j', async (argv, expected) => {
    const { status, stdout, stderr } = await cli(cluster, argv);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected, stderr: '' });
  });

  it.each<[string[], number, RegExp]>([
    [['head', '-n', '1', '-c', '1', '/text'], 2, /exclude each other/],
    [['tail', '-n', 'x', '/text'], 2, /--lines/],
    [['head', '/a'], 4, /is a directory/],
    [['head', '-c', '0', '/a'], 4, /is a directory/],
    [['tail', '/nothing'], 3, /nothing/],
  ])('refuses %j with %i', async (argv, expected, message) => {
    const { status, stderr } = await cli(cluster, argv);
    expect(stderr).toMatch(message);
    expect(status).toBe(expected);
  });

  it('finds lines that are longer than what is read at a time', async () => {
    const rows = ['x'.repeat(3_000_000), 'y'.repeat(1_048_576), '', 'z'];
    const bytes = Buffer.from(`${rows.join('\n')}\n`);
    const read = async (start: number, end: number): Promise<Uint8Array> => bytes.subarray(start, end);
    for (const count of [1, 2, 3, 4, 5]) {
      const start = await startOfLastLines(bytes.length, count, read);
      expect(bytes.subarray(start).toString()).toBe(`${rows.slice(-count).join('\n')}\n`);
    }
    async function* parts(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
    }
    for (const count of [1, 2, 3, 4, 5]) {
      const found: Uint8Array[] = [];
      for await (const part of firstLines(parts(), count)) found.push(part);
      expect(Buffer.concat(found).toString()).toBe(`${rows.slice(0, count).join('\n')}\n`);
    }
  });

  it('of bytes that are no text gives them as they are', async () => {
    const bytes = randomBytes(5_000);
    cluster.put('/bytes', bytes);
    const start = await startOfLastLines(bytes.length, 3, async (from, to) => bytes.subarray(from, to));
    expect(bytes.subarray(start).filter((byte) => byte === 10).length).toBeLessThanOrEqual(3);
  });
});
