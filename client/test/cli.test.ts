/** The command line: usage, target rules, trees, outputs, interruption. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { HoldfastError } from '@holdfast/shared';
import { localPathIn } from '../src/cli/local-names.js';
import { terminalName } from '../src/cli/quote.js';
import { copiesWords } from '../src/cli/words.js';
import type { KeeperStatus } from '../src/ports/cluster-status.js';
import { FakeCluster, hang, runningJob } from './support/fake-cluster.js';
import { keeperStatusOf } from './support/fake-status.js';
import { cli } from './support/run-cli.js';

let dir = '';
let cluster: FakeCluster;
const at = (...names: string[]): string => join(dir, ...names);

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-cli-'));
  cluster = new FakeCluster();
  cluster.paths.set('/dir', 'directory');
  await writeFile(at('a.txt'), 'AAA');
  await writeFile(at('b.txt'), 'BBB');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const text = (path: string): string | undefined => cluster.content(path)?.toString();

describe('wrong usage ends with 2 and says what is wrong', () => {
  it.each<[string[], RegExp]>([
    [[], /what to do is missing/],
    [['uplaod', 'a', '/b'], /did you mean upload/],
    [['upload'], /missing/],
    [['upload', 'a'], /missing/],
    [['tree', '/a', '/b'], /one path too many/],
    [['ls', '--lnog'], /did you mean --long/],
    [['trash'], /what to do is missing/],
    [['trash', 'sl'], /no verb "trash sl"; did you mean trash ls/],
    [['trash', 'ls', '/a', '/b'], /one path too many/],
    [['trash', 'restore'], /what to work on is missing/],
    [['trash', 'restore', '/a', '--version', 'x'], /--version: expected a whole number/],
    [['trash', 'restore', '/a', '--to', 'b'], /not start with "\/"/],
    [['trash', 'restore', '-r', '/a', '--version', '1'], /not of a tree/],
    [['trash', 'empty'], /Name a path, or add --yes/],
    [['trash', 'empty', '/'], /Name a path, or add --yes/],
    [['ls', '-x'], /no flag -x/],
    [['ls', 'relative'], /not start with "\/"/],
    [['stat', '/a/../b'], /".." component/],
    [['stat', '/a//b'], /empty component/],
    [['stat', ''], /empty/],
    [['ls', '--timeout', '5'], /no unit/],
    [['ls', '--timeout', '0'], /longer than nothing/],
    [['ls', '--timeout'], /timeout/],
    [['ls', '--tracker', 'nowhere'], /no port/],
    [['ls', '--tracker', 'a:1', '--tracker', 'b:1'], /more than once/],
    [['upload', 'a.txt', '/x', '--chunk-size', '1KiB'], /64KiB to 64MiB/],
    [['upload', 'a.txt', '/x', '--replicas', '0'], /1 to 16/],
    [['upload', 'a.txt', '/x', '--replicas', '2', '--min-write', '3'], /more than --replicas/],
    [['download', '/x', 'y', '--concurrency', 'lots'], /whole number/],
  ])('%j', async (argv, message) => {
    const { status, stdout, stderr } = await cli(cluster, argv);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(cluster.calls).toEqual([]);
  });

  it('as one JSON document with --json', async () => {
    const { status, documents } = await cli(cluster, ['ls', '--nope', '--json']);
    expect(status).toBe(2);
    expect(documents).toMatchObject([{ error: { code: 'INVALID_ARGUMENT', exitStatus: 2 } }]);
  });

  it('but help and version end with 0, for every verb', async () => {
    const verbs = ['upload', 'download', 'ls', 'stat', 'cat', 'mkdir', 'mv', 'rm', 'status', 'fsck'];
    const groups = ['trash ls', 'trash restore', 'trash empty'];
    for (const verb of [...verbs, ...groups, 'keepers', 'explain', 'what-if', 'events']) {
      const { status, stdout } = await cli(cluster, [...verb.split(' '), '--help']);
      expect({ verb, status }).toEqual({ verb, status: 0 });
      expect(stdout).toContain(`client ${verb} [flags]`);
      expect(stdout).toContain('Examples:');
    }
    expect((await cli(cluster, ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('upload', () => {
  it.each<[string[], string, string]>([
    [['a.txt', '/new'], '/new', 'AAA'],
    [['a.txt', '/dir'], '/dir/a.txt', 'AAA'],
    [['a.txt', '/dir/'], '/dir/a.txt', 'AAA'],
    [['a.txt', '/'], '/a.txt', 'AAA'],
    [['a.txt', 'b.txt', '/dir'], '/dir/b.txt', 'BBB'],
    [['-p', 'a.txt', '/p/q/r'], '/p/q/r', 'AAA'],
    [['-p', 'a.txt', '/p/q/'], '/p/q/a.txt', 'AAA'],
  ])('%j puts the file at %s', async (argv, path, content) => {
    const sources = argv.map((word) => (word.endsWith('.txt') ? at(word) : word));
    const { status, stderr } = await cli(cluster, ['upload', ...sources]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(text(path)).toBe(content);
  });

  it.each<[string[], number, RegExp]>([
    [['missing', '/x'], 3, /missing/],
    [['a.txt', '/nowhere/'], 3, /mkdir -p/],
    [['a.txt', '/nowhere/x'], 3, /parent/],
    [['a.txt', 'b.txt', '/nowhere'], 3, /no remote directory/],
    [['a.txt', '/old/'], 4, /not a directory/],
    [['a.txt', '/old'], 4, /exists/],
    [['.', '/x'], 4, /Use -r/],
    [['-', '/dir'], 2, /no name/],
  ])('%j is refused with %i', async (words, expected, message) => {
    cluster.put('/old', Buffer.from('old'));
    const argv = words.map((word) => (word.startsWith('/') || word === '-' ? word : at(word)));
    const { status, stderr } = await cli(cluster, ['upload', ...argv]);
    expect(stderr).toMatch(message);
    expect(status).toBe(expected);
    expect(text('/old')).toBe('old');
    expect(cluster.calls.filter((call) => call.startsWith('write'))).toEqual([]);
  });

  it('replaces with --force, and says where and how safe', async () => {
    cluster.put('/old', Buffer.from('old'));
    const { stdout } = await cli(cluster, ['upload', '--force', at('a.txt'), '/old']);
    expect(text('/old')).toBe('AAA');
    expect(stdout).toMatch(/a\.txt → \/old: 3 B in .*; 3 copies\n$/);
  });

  it('of a tree onto a file is refused, also with --force, by what is wrong', async () => {
    cluster.put('/old', Buffer.from('old'));
    for (const argv of [['-r'], ['-r', '--force']]) {
      const { status, stderr } = await cli(cluster, ['upload', ...argv, dir, '/old']);
      expect({ status, stderr }).toMatchObject({
        status: 4,
        stderr: expect.stringMatching(/not a directory/),
      });
      expect(stderr).not.toMatch(/--force/);
    }
    expect(text('/old')).toBe('old');
  });

  it('reads standard input', async () => {
    await cli(cluster, ['upload', '-', '/piped'], {
      stdin: Readable.from([Buffer.from('pip'), Buffer.from('ed')]),
    });
    expect(text('/piped')).toBe('piped');
  });

  it('prints one JSON line a file, and a summary', async () => {
    const { documents } = await cli(cluster, ['upload', '--json', at('a.txt'), at('b.txt'), '/dir']);
    expect(documents).toMatchObject([
      { event: 'uploaded', path: '/dir/a.txt', sizeBytes: 3, version: 1, copies: { fewest: 3, wanted: 3 } },
      { event: 'uploaded', path: '/dir/b.txt' },
      { event: 'summary', files: 2, sizeBytes: 6, failed: 0 },
    ]);
  });

  it('goes on after a file that fails, with the status of the first failure', async () => {
    cluster.put('/dir/a.txt', Buffer.from('old'));
    const { status, stderr } = await cli(cluster, ['upload', at('a.txt'), at('b.txt'), '/dir']);
    expect(status).toBe(4);
    expect(stderr).toMatch(/a\.txt exists/);
    expect(text('/dir/b.txt')).toBe('BBB');
  });

  it('stops, and aborts its session, when it is interrupted', async () => {
    let interrupt = (): void => undefined;
    cluster.keeper(1).faults.write = (_chunk, signal) => {
      queueMicrotask(() => interrupt());
      return hang(undefined, signal);
    };
    const { status, stderr } = await cli(cluster, ['upload', at('a.txt'), '/x'], {
      interruptible: (handler) => (interrupt = handler),
    });
    expect({ status, stderr }).toEqual({ status: 130, stderr: 'client: interrupted\n' });
    expect(cluster.calls.at(-1)).toBe('abortUpload');
    expect(text('/x')).toBeUndefined();
  });

  it('gives up after --timeout, with 5', async () => {
    cluster.keeper(1).faults.write = hang;
    const { status, stderr } = await cli(cluster, ['upload', '--timeout', '20ms', at('a.txt'), '/x']);
    expect(status).toBe(5);
    expect(stderr).toMatch(/not done within 20ms\n {2}Nothing that was not finished is visible\./);
  });

  it('which a verb that only reads says nothing of visibility about', async () => {
    cluster.put('/x', Buffer.from('x'));
    for (const { faults } of cluster.keepers) {
      faults.read = async function* (messages, _request, signal) {
        await hang(undefined, signal);
        yield* messages;
      };
    }
    const { status, stderr } = await cli(cluster, ['cat', '--timeout', '20ms', '/x']);
    expect({ status, stderr }).toEqual({
      status: 5,
      stderr: 'client: not done within 20ms\n  Allow more time with --timeout.\n',
    });
  });
});

describe('a tree', () => {
  const names = ['sp ace', '😀', 'new\nline', '..x', '-dash', 'é'.normalize('NFC'), 'é'.normalize('NFD')];

  beforeEach(async () => {
    await mkdir(at('tree', 'sub', 'empty'), { recursive: true });
    for (const name of names) await writeFile(at('tree', name), name);
    await writeFile(at('tree', 'sub', 'f'.repeat(255)), 'long');
  });

  it('goes there and back with all its names and empty directories', async () => {
    expect((await cli(cluster, ['upload', '-r', at('tree'), '/t', '-q'])).status).toBe(0);
    for (const name of names) expect(text(`/t/${name}`)).toBe(name);
    expect(cluster.paths.get('/t/sub/empty')).toBe('directory');
    await mkdir(at('out'));
    const { status, stderr } = await cli(cluster, ['download', '-r', '/t', at('out')]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect((await readdir(at('out', 't'))).sort()).toEqual([...names, 'sub'].sort());
    expect((await readdir(at('out', 't', 'sub'))).sort()).toEqual(['empty', 'f'.repeat(255)]);
    for (const name of names) expect((await readFile(at('out', 't', name))).toString()).toBe(name);
  });

  it('goes into a directory that is there, under its name', async () => {
    await cli(cluster, ['upload', '-r', at('tree'), '/dir']);
    expect(text('/dir/tree/sp ace')).toBe('sp ace');
  });

  it('follows links, except in circles and nowhere, and says so', async () => {
    await symlink('sp ace', at('tree', 'link'));
    await symlink('sub', at('tree', 'sub-link'));
    await symlink('nowhere', at('tree', 'broken'));
    await symlink('..', at('tree', 'sub', 'up'));
    const { status, stderr } = await cli(cluster, ['upload', '-r', at('tree'), '/t']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/sub\/up.* leads back into a directory that holds it: skipped/);
    expect(stderr).toMatch(/broken.* leads nowhere: skipped/);
    expect(text('/t/link')).toBe('sp ace');
    expect(text(`/t/sub-link/${'f'.repeat(255)}`)).toBe('long');
  });

  it('leaves links out when told to', async () => {
    await symlink('sub', at('tree', 'sub-link'));
    await symlink('nowhere', at('tree', 'broken'));
    const { status } = await cli(cluster, ['upload', '-r', '--skip-links', at('tree'), '/t']);
    expect(status).toBe(0);
    expect(text(`/t/sub-link/${'f'.repeat(255)}`)).toBeUndefined();
    expect(text(`/t/sub/${'f'.repeat(255)}`)).toBe('long');
  });

  (process.platform === 'linux' ? it : it.skip)(
    'refuses names that are not UTF-8, and takes the rest',
    async () => {
      await writeFile(Buffer.concat([Buffer.from(`${at('tree')}/bad`), Buffer.from([0xff])]), 'x');
      const { status, stderr } = await cli(cluster, ['upload', '-r', at('tree'), '/t']);
      expect(status).toBe(2);
      expect(stderr).toMatch(/not valid UTF-8/);
      expect(text('/t/sp ace')).toBe('sp ace');
    },
  );

  it('stops at what concerns every file', async () => {
    cluster.before = (name) => {
      if (name === 'beginUpload') throw new HoldfastError('OUT_OF_SPACE', 'the cluster is full');
    };
    const { status } = await cli(cluster, ['upload', '-r', at('tree'), '/t']);
    expect(status).toBe(8);
    expect(cluster.called('beginUpload')).toBeLessThanOrEqual(8);
  });
});

describe('download', () => {
  beforeEach(() => {
    cluster.put('/dir/x', Buffer.from('XXX'));
    cluster.put('/y', Buffer.from('YYY'));
  });

  it('follows cp for its target', async () => {
    await cli(cluster, ['download', '/y', at('new')]);
    await mkdir(at('into'));
    await cli(cluster, ['download', '/y', '/dir/x', at('into')]);
    expect((await readFile(at('new'))).toString()).toBe('YYY');
    expect((await readdir(at('into'))).sort()).toEqual(['x', 'y']);
  });

  it.each<[string[], number, RegExp]>([
    [['/missing', 'n'], 3, /missing/],
    [['/dir', 'n'], 4, /Use -r/],
    [['/y/', 'n'], 4, /not a directory/],
    [['/y', 'a.txt'], 4, /--force/],
    [['/y', 'nowhere/n'], 3, /nowhere/],
    [['/y', 'nowhere/'], 3, /no local directory/],
    [['/y', '/dir/x', 'a.txt'], 4, /not a directory/],
  ])('%j is refused with %i', async (words, expected, message) => {
    const argv = [...words.slice(0, -1), `${dir}/${words.at(-1)}`];
    const { status, stderr } = await cli(cluster, ['download', ...argv]);
    expect(stderr).toMatch(message);
    expect(status).toBe(expected);
    expect((await readdir(dir)).sort()).toEqual(['a.txt', 'b.txt']);
    expect((await readFile(at('a.txt'))).toString()).toBe('AAA');
  });

  it('writes to standard output and nothing else there, also with --json', async () => {
    for (const argv of [
      ['download', '/y', '-'],
      ['cat', '/y'],
      ['cat', '--json', '/y'],
    ]) {
      expect(await cli(cluster, argv)).toMatchObject({ status: 0, stdout: 'YYY', stderr: '' });
    }
    expect((await cli(cluster, ['cat', '/y', '/dir/x'])).stdout).toBe('YYYXXX');
  });

  it.each([['cat'], ['head'], ['tail']])('%s goes on past what is missing, or a directory', async (verb) => {
    const { status, stdout, stderr } = await cli(cluster, [verb, '-q', '/none', '/dir', '/y']);
    expect({ status, stdout }).toEqual({ status: 3, stdout: 'YYY' });
    expect(stderr).toMatch(/\/none\n.*"\/dir" is a directory\n {2}Name a file in it/s);
  });

  it('of a tree onto a file is refused, also with --force, by what is wrong', async () => {
    const { status, stderr } = await cli(cluster, ['download', '-r', '--force', '/dir', at('a.txt')]);
    expect({ status, stderr }).toMatchObject({ status: 4, stderr: expect.stringMatching(/not a directory/) });
    expect(stderr).not.toMatch(/use --force/);
  });

  it('writes into a device and leaves it one', async () => {
    const { status } = await cli(cluster, ['download', '/y', '/dev/null']);
    expect(status).toBe(0);
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  });

  it('ends with 7 when no copy can be verified, leaving nothing', async () => {
    await cluster.tracker.locateChunks({ target: { path: '/y' }, offset: 0, lengthBytes: 0 });
    for (const { chunks } of cluster.keepers)
      for (const id of chunks.keys()) chunks.set(id, Buffer.from('???'));
    const { status, stderr } = await cli(cluster, ['download', '/y', at('new')]);
    expect(status).toBe(7);
    expect(stderr).toMatch(/no copy .* could be verified/);
    expect((await readdir(dir)).sort()).toEqual(['a.txt', 'b.txt']);
  });
});

describe('the other verbs', () => {
  it('ls shows names in order, escaped on a terminal only', async () => {
    cluster.put('/dir/a\nb', Buffer.from('x'));
    cluster.put('/dir/Z', Buffer.from('x'));
    cluster.paths.set('/dir/sub', 'directory');
    expect((await cli(cluster, ['ls', '/dir'])).stdout).toBe('Z\na\nb\nsub/\n');
    expect((await cli(cluster, ['ls', '/dir'], { isTTY: true })).stdout).toBe("Z\n$'a\\nb'\nsub/\n");
    const [document] = (await cli(cluster, ['ls', '--json', '/dir'])).documents;
    expect(document).toMatchObject({
      entries: [{ path: '/dir/Z' }, { path: '/dir/a\nb' }, { type: 'directory' }],
    });
    expect((await cli(cluster, ['ls', '-l', '/dir/Z'])).stdout).toMatch(/^-\?{9} +1 .* \/dir\/Z\n$/);
  });

  it('whatever a server has put into its words, they move no cursor of a terminal', async () => {
    const summary = 'healthy\x1b[2J\x1b]0;title\x07';
    cluster.status = { summary };
    expect((await cli(cluster, ['status'])).stdout).toContain(summary);
    const { stdout } = await cli(cluster, ['status'], { isTTY: true });
    expect(stdout).toContain('healthy\\e[2J');
    expect(stdout).not.toMatch(/[^\P{Cc}\n]/u);
  });

  it('the line of a job that is waited for moves no cursor but its own', async () => {
    const running = { ...runningJob, text: 'a\x1b[2J\nb' };
    cluster.jobs = [running, { ...running, state: 'done' }];
    const { stderr } = await cli(cluster, ['rebalance', '--wait'], { isTTY: true });
    expect(stderr).toContain('a\\e[2J b');
    expect(stderr.replaceAll('\r\x1b[K', '')).not.toMatch(/\p{Cc}/u);
  });

  it('of more keepers than a call has room for arguments are shown all the same', async () => {
    const [keeper] = cluster.keepers;
    cluster.status = { keepers: Array(200_000).fill(keeperStatusOf(keeper!)) as KeeperStatus[] };
    const { status, stdout } = await cli(cluster, ['status']);
    expect(status).toBe(0);
    expect(stdout.split('\n').length).toBeGreaterThan(200_000);
  });

  it('ls of several shows the files first, so that none seems to be in a directory', async () => {
    cluster.put('/dir/x', Buffer.from('x'));
    cluster.put('/y', Buffer.from('x'));
    const { status, stdout, stderr } = await cli(cluster, ['ls', '/dir', '/none', '/y', '/dir/x', '/dir']);
    expect({ status, stdout }).toEqual({ status: 3, stdout: '/y\n/dir/x\n\n/dir:\nx\n\n/dir:\nx\n' });
    expect(stderr).toMatch(/\/none/);
    expect((await cli(cluster, ['ls', '/dir', '/dir'])).stdout).toBe('/dir:\nx\n\n/dir:\nx\n');
  });

  it('diff of two files names them, and takes -r for what it does anyway', async () => {
    cluster.put('/y', Buffer.from('YYYY'));
    const { status, stdout } = await cli(cluster, ['diff', '-r', at('a.txt'), '/y']);
    expect({ status, stdout }).toEqual({
      status: 1,
      stdout: expect.stringMatching(/^! .*\/a\.txt: 3 bytes here, 4 there/),
    });
  });

  it('names with a dash go behind --', async () => {
    await writeFile(at('-f'), 'dash');
    const previous = process.cwd();
    process.chdir(dir);
    try {
      expect((await cli(cluster, ['upload', '--', '-f', '/dir'])).status).toBe(0);
    } finally {
      process.chdir(previous);
    }
    expect(text('/dir/-f')).toBe('dash');
  });

  it('mkdir, mv, stat and rm do as they are told', async () => {
    cluster.put('/y', Buffer.from('YYY'));
    expect((await cli(cluster, ['mkdir', '/dir'])).status).toBe(4);
    expect((await cli(cluster, ['mkdir', '-p', '/n/m'])).status).toBe(0);
    expect((await cli(cluster, ['mv', '/y', '/n/m'])).status).toBe(0);
    expect(text('/n/m/y')).toBe('YYY');
    expect((await cli(cluster, ['stat', '/n/m/y'])).stdout).toMatch(/size +3 bytes[\s\S]*copies +3 copies/);
    expect((await cli(cluster, ['mv', '/n', '/m', '/dir/none'])).status).toBe(3);
    expect(await cli(cluster, ['rm', '/n'])).toMatchObject({
      status: 4,
      stderr: expect.stringContaining('-r'),
    });
    expect((await cli(cluster, ['rm', '-r', '/n'])).status).toBe(0);
    expect((await cli(cluster, ['rm', '/n'])).status).toBe(3);
    expect((await cli(cluster, ['rm', '-f', '/n'])).status).toBe(0);
    expect((await cli(cluster, ['rm', '/'])).status).toBe(2);
  });
});

describe('what a person used to coreutils expects', () => {
  it('mv into a directory that is not there renames a directory and refuses a file', async () => {
    cluster.put('/y', Buffer.from('YYY'));
    const refused = await cli(cluster, ['mv', '/y', '/none/']);
    expect(refused).toMatchObject({ status: 3, stderr: expect.stringMatching(/no remote directory/) });
    expect(cluster.paths.has('/none')).toBe(false);
    expect((await cli(cluster, ['mv', '/dir', '/none/'])).status).toBe(0);
    expect(cluster.paths.get('/none')).toBe('directory');
    expect((await cli(cluster, ['mv', '/', '/none'])).stderr).toMatch(/"\/" cannot be moved/);
  });

  it('remedies name flags that the verb has', async () => {
    expect((await cli(cluster, ['mkdir', '/dir'])).stderr).toMatch(/-p/);
    cluster.put('/y', Buffer.from('YYY'));
    expect((await cli(cluster, ['mkdir', '-p', '/y'])).stderr).toMatch(/It is a file/);
  });

  it('rm -f --json speaks of what was not there too', async () => {
    const { documents } = await cli(cluster, ['rm', '-f', '--json', '/none']);
    expect(documents).toEqual([{ path: '/none', removed: 0 }]);
  });
});

describe('words', () => {
  it.each([
    ['plain name', 'plain name'],
    ['a\u001b[31mb', "$'a\\e[31mb'"],
    ["it's\n", "$'it\\'s\\n'"],
    ['ab\u202ecd', "$'ab\\xe2\\x80\\xaecd'"],
  ])('%j is shown as %s', (name, shown) => {
    expect(terminalName(name)).toBe(shown);
  });

  it('are escaped in errors on a terminal too, and a remedy is said once', async () => {
    const cluster = new FakeCluster();
    const missing = ['/a\u001bb', '/c\u009bd'];
    const { stderr, status } = await cli(cluster, ['rm', ...missing], { isTTY: true });
    expect(status).toBe(3);
    expect(stderr).toContain('/a\\eb');
    expect(stderr).toContain('/c\\xc2\\x9bd');
    expect(stderr).not.toMatch(/[^\P{Cc}\n]/u);
    expect((await cli(cluster, ['rm', ...missing])).stderr).toContain('/a\u001bb');
    for (const path of ['/one', '/two']) {
      cluster.paths.set(path, 'directory');
      cluster.put(`${path}/file`, Buffer.from('x'));
    }
    const full = await cli(cluster, ['rm', '/one', '/two']);
    expect(full.stderr.match(/has entries/g)).toHaveLength(2);
    expect(full.stderr.match(/Use -r/g)).toHaveLength(1);
  });

  it('say how safe a file is', () => {
    const copies = (fewest: number, wanted: number, chunks = 1) =>
      copiesWords({ chunks, fewest, wanted, chunksBelowPolicy: 0 });
    expect(copies(2, 3)).toBe('2 of 3 copies now; the third follows when a keeper is back');
    expect([copies(3, 3), copies(1, 1), copies(1, 3), copies(0, 3, 0)]).toEqual([
      '3 copies',
      '1 copy',
      '1 of 3 copies now; the others follow when keepers are back',
      'empty, nothing to copy',
    ]);
  });

  it.each(['a\\b', 'c:d', 'con', 'NUL.txt', 'dot.', 'a?b'])('%s is no name on Windows', (name) => {
    expect(localPathIn('/d', `/x/${name}`, 'linux')).toBe(`/d/${name}`);
    expect(() => localPathIn('/d', `/x/${name}`, 'win32')).toThrow(/cannot hold/);
  });

  it.each(['/x/..', '/x/.', '/'])('%s never leads out of the directory', (remote) => {
    expect(() => localPathIn('/d', remote, 'linux')).toThrow(/cannot hold/);
  });
});

describe('trash', () => {
  beforeEach(async () => {
    for (const path of ['/dir/a', '/dir/b', '/dir b']) cluster.put(path, Buffer.from(`${path} 1`));
    cluster.put('/dir/b', Buffer.from('/dir/b 2'));
    for (const path of ['/dir/a', '/dir b']) await cli(cluster, ['rm', path]);
  });

  it('ls lists what can be restored, at and below a path', async () => {
    const { stdout } = await cli(cluster, ['trash', 'ls']);
    const lines = stdout.trim().split('\n');
    expect(lines.map((line) => line.replace(/^(\w+) .* (v\d+ .*)$/, '$1 $2'))).toEqual([
      'deleted v3 /dir b',
      'deleted v1 /dir/a',
      'replaced v2 /dir/b',
    ]);
    expect(lines[0]).toMatch(/24 h 0 min left/);
    const { documents } = await cli(cluster, ['trash', 'ls', '/dir', '--json']);
    expect(documents).toMatchObject([
      {
        path: '/dir',
        versions: [
          { path: '/dir/a', replaced: false },
          { path: '/dir/b', replaced: true },
        ],
      },
    ]);
  });

  it('restore brings back a file, a version of it, or to another place', async () => {
    const { stdout, status } = await cli(cluster, ['trash', 'restore', '/dir/a']);
    expect({ stdout, status }).toEqual({ stdout: '/dir/a is back at /dir/a, 8 B\n', status: 0 });
    expect(text('/dir/a')).toBe('/dir/a 1');
    expect((await cli(cluster, ['trash', 'restore', '/dir/b'])).status).toBe(4);
    await cli(cluster, ['trash', 'restore', '/dir/b', '--version', '2', '--to', '/new/b']);
    expect(text('/new/b')).toBe('/dir/b 1');
    await cli(cluster, ['trash', 'restore', '/dir b', '--to', '/dir/b', '--force']);
    expect(text('/dir/b')).toBe('/dir b 1');
    expect(cluster.trash.map(({ path, version }) => [path, version])).toEqual([['/dir/b', 4]]);
    const missing = await cli(cluster, ['trash', 'restore', '/dir']);
    expect(missing).toMatchObject({ status: 3, stderr: expect.stringMatching(/use -r/) });
  });

  it('restore -r brings back all that was deleted, and leaves what was replaced', async () => {
    await cli(cluster, ['rm', '-r', '/dir']);
    cluster.put('/dir/a', Buffer.from('new'));
    cluster.put('/dir/a', Buffer.from('newer'));
    const { stdout, status } = await cli(cluster, ['trash', 'restore', '-r', '/dir', '--to', '/x']);
    expect({ stdout, status }).toEqual({ stdout: 'restored 1 file, 8 B\n', status: 0 });
    expect([text('/x/b'), text('/x/a'), text('/dir/a')]).toEqual(['/dir/b 2', undefined, 'newer']);
    const { documents } = await cli(cluster, ['trash', 'restore', '-r', '/', '--json']);
    expect(documents).toMatchObject([
      { event: 'restored', from: '/dir b', path: '/dir b' },
      { event: 'summary', files: 1, failed: 0 },
    ]);
    expect((await cli(cluster, ['trash', 'restore', '-r', '/'])).status).toBe(3);
  });

  it('restore -r goes on after a file that is in the way, and says so', async () => {
    await cli(cluster, ['rm', '/dir/b']);
    cluster.put('/x/a', Buffer.from('there'));
    cluster.trash = cluster.trash.filter(({ replaced }) => !replaced);
    const { stdout, status, stderr } = await cli(cluster, ['trash', 'restore', '-r', '/dir', '--to', '/x']);
    expect({ stdout, status }).toEqual({ stdout: 'restored 1 file, 8 B, 1 failed\n', status: 4 });
    expect(stderr).toMatch(/exists/);
    expect([text('/x/a'), text('/x/b')]).toEqual(['there', '/dir/b 2']);
  });

  it('is nothing for rm --permanent', async () => {
    await cli(cluster, ['rm', '--permanent', '/dir/b']);
    expect(cluster.trash.map(({ path }) => path)).toEqual(['/dir/a', '/dir b']);
  });

  it('empty gives up what is named, or everything with --yes', async () => {
    expect((await cli(cluster, ['trash', 'empty', '/dir'])).stdout).toBe('gave up 2 versions, 16 B\n');
    expect(cluster.trash).toHaveLength(1);
    const { documents } = await cli(cluster, ['trash', 'empty', '--yes', '--json']);
    expect(documents).toEqual([{ path: '/', versions: 1, bytes: 8 }]);
  });
});
