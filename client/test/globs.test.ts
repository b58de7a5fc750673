/** Patterns for remote paths, and listings in other orders than that of names. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeCluster } from './support/fake-cluster.js';
import { cli } from './support/run-cli.js';

const files = [
  ...['/a/1.txt', '/a/2.txt', '/a/.hidden', '/a/sub/3.txt', '/a/.git/4.txt', '/b/1.txt', '/b/sub/deep/5.txt'],
  ...[
    '/odd/a*b',
    '/odd/axb',
    '/odd/[x]',
    '/odd/back\\slash',
    '/odd/-rf',
    '/odd/new\nline',
    '/odd/😀',
    '/odd/é',
  ],
];

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
  for (const [index, path] of files.entries()) {
    const names = path.split('/');
    for (let depth = 2; depth < names.length; depth += 1) {
      cluster.paths.set(names.slice(0, depth).join('/'), 'directory');
    }
    cluster.put(path, Buffer.alloc(index, index));
  }
});

async function found(...patterns: string[]): Promise<string[]> {
  const { stdout, stderr } = await cli(cluster, ['find', '--depth', '0', '-0', '--', ...patterns]);
  expect(stderr).toBe('');
  return stdout.split('\0').slice(0, -1);
}

describe('a pattern for remote paths', () => {
  it.each<[string, string[]]>([
    ['/a/*.txt', ['/a/1.txt', '/a/2.txt']],
    ['/?/1.txt', ['/a/1.txt', '/b/1.txt']],
    [':/[!a]/*', ['/b/1.txt', '/b/sub']],
    ['/a/.*', ['/a/.git', '/a/.hidden']],
    ['/a/*/*.txt', ['/a/sub/3.txt']],
    ['/*/sub/', ['/a/sub', '/b/sub']],
    ['/**/*.txt', ['/a/1.txt', '/a/2.txt', '/a/sub/3.txt', '/b/1.txt', '/b/sub/deep/5.txt']],
    ['/b/**', ['/b/1.txt', '/b/sub', '/b/sub/deep', '/b/sub/deep/5.txt']],
    ['/b/**/', ['/b/sub', '/b/sub/deep']],
    ['/**/sub/**/**/*.txt', ['/a/sub/3.txt', '/b/sub/deep/5.txt']],
    // What is there wins over what it may mean.
    ['/odd/a*b', ['/odd/a*b']],
    ['/odd/[x]', ['/odd/[x]']],
    ['/odd/a\\*b', ['/odd/a*b']],
    ['/odd/a[*]b', ['/odd/a*b']],
    ['/odd/back\\slash', ['/odd/back\\slash']],
    ['/odd/back\\\\*', ['/odd/back\\slash']],
    ['/odd/-*', ['/odd/-rf']],
    ['/odd/new*', ['/odd/new\nline']],
    ['/odd/?', ['/odd/é', '/odd/😀']],
  ])('%j', async (pattern, expected) => {
    expect((await found(pattern)).sort()).toEqual(expected.sort());
  });

  it('costs nothing where there is none, and one question where it is what is there', async () => {
    await cli(cluster, ['cat', '/a/1.txt']);
    expect(cluster.called('getEntry') + cluster.called('listEntries')).toBe(0);
    await cli(cluster, ['cat', '/odd/a*b']);
    expect([cluster.called('getEntry'), cluster.called('listEntries')]).toEqual([1, 0]);
  });

  it.each([['cat'], ['ls'], ['stat'], ['du'], ['find'], ['head'], ['tail'], ['rm']])(
    '%s says that nothing matches',
    async (verb) => {
      const { status, stderr } = await cli(cluster, [verb, '/a/*.jpg']);
      expect({ status, stderr }).toEqual({
        status: 3,
        stderr: expect.stringMatching(/nothing matches "\/a\/\*.jpg"/),
      });
    },
  );

  it('says so of a pattern that can match nothing', async () => {
    expect(await cli(cluster, ['ls', '/a/[z-a]*'])).toMatchObject({ status: 2 });
  });

  it('stands for the sources of rm, mv, cp and download', async () => {
    expect(await cli(cluster, ['cp', '/a/*.txt', '/b/sub'])).toMatchObject({ status: 0 });
    expect(await cli(cluster, ['mv', '/b/sub/?.txt', '/b/sub/deep/'])).toMatchObject({ status: 0 });
    expect((await found('/b/sub/**')).sort()).toEqual(
      ['/b/sub/deep', ...['1', '2', '5'].map((name) => `/b/sub/deep/${name}.txt`)].sort(),
    );
    expect(await cli(cluster, ['mv', '/a/*.txt', '/b/1.txt'])).toMatchObject({ status: 4 });
    expect(await cli(cluster, ['rm', '/a/*.txt', '/a/none*'])).toMatchObject({ status: 3 });
    expect(await cli(cluster, ['rm', '-f', '/a/none*'])).toMatchObject({ status: 0, stderr: '' });
    expect((await found('/a/*')).sort()).toEqual(['/a/sub']);
    expect(await cli(cluster, ['rm', '/odd/a*b'])).toMatchObject({ status: 0 });
    expect((await found('/odd/a*')).sort()).toEqual(['/odd/axb']);
  });

  describe('in a download', () => {
    let dir = '';
    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), 'holdfast-globs-'));
    });
    afterEach(() => rm(dir, { recursive: true, force: true }));

    it('goes into a directory, and only there if it is several', async () => {
      expect(await cli(cluster, ['download', '/odd/*', dir])).toMatchObject({ status: 0 });
      expect((await readdir(dir)).sort()).toEqual(
        (await found('/odd/*')).map((path) => path.slice(5)).sort(),
      );
      expect(await cli(cluster, ['download', '/a/*.txt', join(dir, 'no')])).toMatchObject({ status: 3 });
      expect(await cli(cluster, ['download', '/a/1*', join(dir, 'one')])).toMatchObject({ status: 0 });
      expect(await cli(cluster, ['download', '/a/?.txt', '-'])).toMatchObject({ stdout: '\u0001' });
    });
  });
});

describe('--dry-run', () => {
  it('of rm shows all that would go, and leaves it', async () => {
    const { stdout } = await cli(cluster, ['rm', '-rn', '/b', '/a/1.txt']);
    expect(stdout).toBe('- /b/\n- /b/1.txt\n- /b/sub/\n- /b/sub/deep/\n- /b/sub/deep/5.txt\n- /a/1.txt\n');
    expect(await cli(cluster, ['rm', '-n', '/b'])).toMatchObject({ status: 4 });
    expect(cluster.called('deleteEntry')).toBe(0);
  });

  it('of cp and mv shows what would be where, without what is excluded', async () => {
    const copy = ['cp', '-rn', '/a', '/new', '--exclude', '.git/', '--exclude', 'sub/3*'];
    expect(await cli(cluster, copy)).toMatchObject({
      stdout:
        '/a/.hidden → /new/.hidden\n/a/1.txt → /new/1.txt\n/a/2.txt → /new/2.txt\n3 files would be copied\n',
    });
    expect(await cli(cluster, ['mv', '-nf', '/a/*.txt', '/b'])).toMatchObject({
      stdout: '/a/1.txt → /b/1.txt\n/a/2.txt → /b/2.txt\n',
    });
    expect(
      cluster.called('copyEntry') + cluster.called('moveEntry') + cluster.called('createDirectory'),
    ).toBe(0);
    await cli(cluster, copy.filter((word) => word !== '-rn').concat('-r'));
    expect((await found('/new/**')).sort()).toEqual(['/new/1.txt', '/new/2.txt', '/new/sub']);
    expect(await found('/new/.*')).toEqual(['/new/.hidden']);
  });
});

describe('ls in other orders', () => {
  const names = async (...argv: string[]): Promise<string[]> => {
    const { status, stdout } = await cli(cluster, ['ls', ...argv]);
    expect(status).toBe(0);
    return stdout.trimEnd().split('\n');
  };
  beforeEach(() => {
    cluster.paths.set('/s', 'directory');
    for (const [name, size] of [
      ['b', 2],
      ['a', 2],
      ['c', 3],
      ['d', 1],
    ] as const) {
      cluster.put(`/s/${name}`, Buffer.alloc(size));
    }
  });

  it('shows with -R whole paths of all that is below, in any order', async () => {
    cluster.paths.set('/s/sub', 'directory');
    cluster.put('/s/sub/e', Buffer.alloc(9));
    expect(await names('-R', '/s')).toEqual(['/s/a', '/s/b', '/s/c', '/s/d', '/s/sub/', '/s/sub/e']);
    expect(await names('-RS', '--limit', '1', '/s')).toEqual(['/s/sub/e']);
  });

  it.each<[string[], string]>([
    [['/s'], 'abcd'],
    [['/s', '-r'], 'dcba'],
    [['/s', '--sort', 'size'], 'cabd'],
    [['/s', '-S'], 'cabd'],
    [['/s', '-Sr'], 'dbac'],
    [['/s', '-S', '--limit', '2'], 'ca'],
    [['/s', '-r', '--limit', '1'], 'd'],
    [['/s', '--limit', '3'], 'abc'],
    [['/s', '-t', '--limit', '9'], 'abcd'],
  ])('%j', async (argv, order) => {
    expect((await names(...argv)).join('')).toBe(order);
  });

  it('by time takes the newest first', async () => {
    for (const [name, time] of [
      ['a', 5],
      ['b', 9],
      ['c', 7],
    ] as const) {
      const version = cluster.paths.get(`/s/${name}`) as number;
      const stored = cluster.versions.get(version)!;
      cluster.versions.set(version, {
        ...stored,
        entry: { ...stored.entry, attributes: { modifiedAtUnixMs: time } },
      });
    }
    expect(await names('-t', '/s')).toEqual(['b', 'c', 'a', 'd']);
  });

  it('shows several, each under its path', async () => {
    expect(await names('/s/a', '/b', '/b/sub')).toEqual([
      '/s/a',
      '',
      '/b:',
      '1.txt',
      'sub/',
      '',
      '/b/sub:',
      'deep/',
    ]);
    expect(await names('-l', '--human', '/s/a')).toEqual([expect.stringMatching(/^-\?{9} +2 B .* \/s\/a$/)]);
  });

  it.each([
    ['--sort', 'colour'],
    ['--limit', '0'],
  ])('refuses %s %s', async (...argv) => {
    expect(await cli(cluster, ['ls', ...argv])).toMatchObject({ status: 2 });
  });

  it('du has them too', async () => {
    const { stdout } = await cli(cluster, [
      'du',
      '-b',
      '--depth',
      '1',
      '--sort',
      'size',
      '--limit',
      '2',
      '/',
    ]);
    expect(stdout.split('\n').map((line) => line.split(' ').at(-1))).toEqual(['/', '/odd', '']);
  });
});

describe('--exclude and --dry-run of transfers', () => {
  let dir = '';
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'holdfast-exclude-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));
  const flags = ['--exclude', '.*', '--exclude', '/sub/'];

  it('leave out of a tree what they name, both ways, and show it before', async () => {
    const to = join(dir, 'to');
    const shown = await cli(cluster, ['download', '-rn', '/a', to, ...flags]);
    expect(shown.stdout).toBe(`/a/1.txt → ${to}/1.txt\n/a/2.txt → ${to}/2.txt\n`);
    expect(await readdir(dir)).toEqual([]);
    expect(await cli(cluster, ['download', '-r', '/a', to, ...flags])).toMatchObject({ status: 0 });
    expect((await readdir(to)).sort()).toEqual(['1.txt', '2.txt']);
    const up = await cli(cluster, ['upload', '-rn', to, '/new', '--exclude', '1*']);
    expect(up.stdout).toBe(`${to}/2.txt → /new/2.txt\n`);
    expect(await found('/ne*').catch(() => 'nothing')).toBe('nothing');
    await cli(cluster, ['upload', '-r', to, '/new', '--exclude', '1*']);
    expect(await found('/new/**')).toEqual(['/new/2.txt']);
  });
});
