/** Commands that move many files, interrupted or failed in part, and what the same command makes of it. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { systemRandom } from '@holdfast/shared/node';
import { ownPath } from '../src/local/owned-file.js';
import { FakeCluster, hang } from './support/fake-cluster.js';
import { cli } from './support/run-cli.js';

let dir: string;
let cluster: FakeCluster;
let interrupt: () => void;
const at = (...names: string[]) => join(dir, ...names);
const run = (...argv: string[]) =>
  cli(cluster, argv, { stateDirectory: at('state'), interruptible: (handler) => (interrupt = handler) });
const upload = (...more: string[]) => run('upload', '-r', at('photos'), '/p', '--json', ...more);
const download = (...more: string[]) => run('download', '-r', '/p', at('here'), '--json', ...more);
const remote = () => [...cluster.paths.keys()].filter((path) => path !== '/').sort();
const local = async (name = 'here') => (await readdir(at(name), { recursive: true })).sort();
const records = () => readdir(at('state', 'holdfast', 'targets')).catch(() => []);
const last = ({ documents }: { documents: Record<string, unknown>[] }) => documents.at(-1);
const goesOn = /going on with a run that did not end well/;

const MiB = 1024 * 1024;
/** More than what is packed: each goes by itself. */
const sizeBytes = 1.5 * MiB;
const names = ['a', 'b', 'sub/c'];

/** A run that is ended when one of its files is done; the others are on their way. */
async function interrupted(
  what: () => ReturnType<typeof run>,
  isOneDone: () => Promise<boolean>,
  words = /the same command goes on where it was/,
): Promise<void> {
  let turns = 0;
  const interruptThen = async (): Promise<void> => {
    while (!(await isOneDone())) await setImmediate();
    interrupt();
  };
  const turn = async (signal: AbortSignal): Promise<void> => {
    turns += 1;
    if (turns === 1) return;
    if (turns === 2) void interruptThen();
    await hang(undefined, signal);
  };
  for (const { faults } of cluster.keepers) {
    faults.write = (_chunk, signal) => turn(signal);
    faults.read = async function* (messages, _request, signal) {
      await turn(signal);
      yield* messages;
    };
  }
  const { status, stderr } = await what();
  for (const { faults } of cluster.keepers) {
    delete faults.write;
    delete faults.read;
  }
  expect(stderr).toMatch(words);
  expect(status).toBe(130);
}

const stored = () => names.filter((name) => cluster.content(`/p/${name}`));
const fetched = async () =>
  (await readdir(at('here'), { recursive: true }).catch(() => [])).filter((name) => names.includes(name));
const interruptedUpload = () =>
  interrupted(
    () => upload(),
    async () => stored().length > 0,
  );
const interruptedDownload = () =>
  interrupted(
    () => download(),
    async () => (await fetched()).length > 0,
  );

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-same-'));
  cluster = new FakeCluster();
  await mkdir(at('photos', 'sub', 'empty'), { recursive: true });
  for (const name of names) await writeFile(at('photos', name), Buffer.alloc(sizeBytes, name));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('upload -r', () => {
  it('that was interrupted goes on to the same place and sends only what is missing', async () => {
    await interruptedUpload();
    expect(stored()).toHaveLength(1);
    const begun = cluster.called('beginUpload');
    const again = await upload();
    expect(again.stderr).toMatch(goesOn);
    expect(again.status).toBe(0);
    expect(last(again)).toMatchObject({ files: 2, sizeBytes: 2 * sizeBytes, unchanged: 1, failed: 0 });
    expect(cluster.called('beginUpload') - begun).toBe(2);
    expect(remote()).toEqual(['/p', '/p/a', '/p/b', '/p/sub', '/p/sub/c', '/p/sub/empty']);
    for (const name of names)
      expect(cluster.content(`/p/${name}`)?.equals(Buffer.alloc(sizeBytes, name))).toBe(true);
    expect(await records()).toEqual([]);
  });

  it('that ended well is over: the same command goes into the directory, as cp does', async () => {
    await interruptedUpload();
    await upload();
    const third = await upload();
    expect(third.stderr).not.toMatch(goesOn);
    expect(third.status).toBe(0);
    expect(remote()).toContain('/p/photos/sub/c');
  });

  it('that failed in part tries again what failed, and nothing else', async () => {
    for (const path of ['/other', '/other/photos']) cluster.paths.set(path, 'directory');
    cluster.put('/other/photos/a', Buffer.from('an older one'));
    const into = () => run('upload', '-r', at('photos'), '/other', '--json');
    const first = await into();
    expect(first.stderr).toMatch(/exists[^]*the same command tries again what failed/);
    expect(first.status).toBe(4);
    expect((await into()).status).toBe(4);
    expect(cluster.content('/other/photos/a')?.toString()).toBe('an older one');
    await run('rm', '/other/photos/a');
    const third = await into();
    expect(third.status).toBe(0);
    expect(last(third)).toMatchObject({ files: 1, unchanged: 2 });
  });

  it('notices a file that changed, and replaces it with --force and no other', async () => {
    await interruptedUpload();
    const [done = ''] = stored();
    await utimes(at('photos', done), 1, 1);
    const refused = await upload();
    expect(refused.status).toBe(4);
    expect(refused.stderr).toMatch(/ exists/);
    expect(last(refused)).toMatchObject({ files: 2, unchanged: 0, failed: 1 });
    const forced = await upload('--force');
    expect(forced.status).toBe(0);
    expect(last(forced)).toMatchObject({ files: 1, unchanged: 2, failed: 0 });
  });

  it('begins anew with --no-resume', async () => {
    await interruptedUpload();
    const anew = await upload('--no-resume');
    expect(anew.stderr).not.toMatch(goesOn);
    expect(last(anew)).toMatchObject({ files: 3, unchanged: 0 });
    expect(remote()).toContain('/p/photos/a');
    expect(await records()).toEqual([]);
  });

  it('shows with --dry-run where the same command would go, and leaves it to it', async () => {
    await interruptedUpload();
    const elsewhere = await upload('--dry-run', '--no-resume');
    expect(elsewhere.documents.map(({ path }) => path)).toContain('/p/photos/a');
    const shown = await upload('--dry-run');
    const missing = names.filter((name) => !stored().includes(name));
    expect(shown).toMatchObject({ status: 0, stderr: expect.stringMatching(goesOn) });
    expect(shown.documents.map(({ path }) => path).sort()).toEqual(missing.map((name) => `/p/${name}`));
    expect(last(await upload())).toMatchObject({ files: 2, unchanged: 1 });
  });

  it('leaves nothing to go on with where it was refused', async () => {
    const missing = () => run('upload', '-r', at('photos'), '/no/p');
    expect((await missing()).status).toBe(3);
    expect(await records()).toEqual([]);
    await run('mkdir', '-p', '/no/p');
    expect((await missing()).status).toBe(0);
    expect(remote()).toContain('/no/p/photos/a');
  });

  it('of several sources goes on with all of them', async () => {
    await writeFile(at('one'), 'one');
    await mkdir(at('more'));
    cluster.paths.set('/p', 'directory');
    const several = (...more: string[]) =>
      run('upload', '-r', at('one'), at('photos'), at('more'), '/p', '--json', ...more);
    await writeFile(at('more', 'file'), 'text');
    await interrupted(
      () => several(),
      async () => cluster.paths.has('/p/one') || cluster.paths.has('/p/photos/a'),
    );
    const again = await several();
    expect(again.status).toBe(0);
    expect(Number(last(again)?.['files']) + Number(last(again)?.['unchanged'])).toBe(5);
    expect(Number(last(again)?.['unchanged'])).toBeGreaterThan(0);
    expect(remote()).toEqual(expect.arrayContaining(['/p/one', '/p/photos/sub/c', '/p/more/file']));
  });

  it('goes on only with its own: another target, another source and another cluster are others', async () => {
    await interruptedUpload();
    const other = await run('upload', '-r', at('photos'), '/q');
    expect(other.stderr).not.toMatch(goesOn);
    cluster.status = { clusterId: 'd'.repeat(32) };
    expect((await upload()).stderr).not.toMatch(goesOn);
  });

  it('does not go on with what is a day old', async () => {
    await interruptedUpload();
    const [name = ''] = await records();
    const old = new Date(Date.now() - 25 * 60 * 60_000);
    await utimes(at('state', 'holdfast', 'targets', name), old, old);
    expect((await upload()).stderr).not.toMatch(goesOn);
  });

  it('runs beside the same command of another process as a run of its own', async () => {
    await interruptedUpload();
    const [name = ''] = await records();
    const [stem = ''] = name.split('.');
    const directory = at('state', 'holdfast', 'targets');
    const theirs = await ownPath({ directory, stem, ending: 'target' }, 'as', systemRandom);
    await rename(join(directory, name), theirs);
    const beside = await upload();
    expect(beside.stderr).toMatch(/another process is at the same command/);
    expect(beside.stderr).not.toMatch(goesOn);
    expect(remote()).toContain('/p/photos/a');
    expect(await records()).toEqual([basename(theirs)]);
  });

  it.each([
    ['a file is in the way', () => writeFile(at('state'), 'a file')],
    // Node itself would try for ever.
    ['nothing can be made', () => symlink('/proc/nowhere', at('state'))],
  ])(
    'moves everything where no record can be written as %s, and says how to go on',
    async (_why, prepare) => {
      await prepare();
      const { status, stderr } = await upload();
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stored()).toHaveLength(3);
      await run('rm', '-r', '/p');
      const isOneDone = async () => stored().length > 0;
      await interrupted(() => upload(), isOneDone, /begins anew; client sync copies what is missing/);
    },
  );

  it('takes no file for one of its own that was there before: what is refused once is refused again', async () => {
    const into = () => run('upload', '-r', at('photos'), '/p/', '--json');
    await run('mkdir', '/p');
    expect((await into()).status).toBe(0);
    for (let time = 0; time < 3; time += 1) expect((await into()).status).toBe(4);
    expect(await records()).toEqual([]);
  });

  it('goes on with another name for the same target, and not with the same place under another name', async () => {
    await interruptedUpload();
    const anew = await run('upload', '-r', `${at('photos')}/.`, '/p', '--dry-run', '--json');
    expect(anew.stderr).not.toMatch(goesOn);
    const slash = await run('upload', '-r', at('photos'), '/p/', '--json');
    expect(slash.stderr).toMatch(goesOn);
    expect(remote()).not.toContain('/p/photos');
  });

  it('goes on after an interruption of which nobody knows whether it made the target', async () => {
    cluster.after = async (name) => {
      if (name !== 'createDirectory') return;
      interrupt();
      await setImmediate();
    };
    expect((await upload()).status).toBe(130);
    cluster.after = () => undefined;
    expect((await upload()).status).toBe(0);
    expect(stored()).toHaveLength(3);
    expect(remote()).not.toContain('/p/photos');
  });

  it('leaves alone the record of a run that has been at it for days', async () => {
    const directory = at('state', 'holdfast', 'targets');
    await mkdir(directory, { recursive: true });
    const theirs = await ownPath({ directory, stem: 'f'.repeat(32), ending: 'target' }, 'as', systemRandom);
    await writeFile(theirs, '');
    const old = new Date(Date.now() - 50 * 60 * 60_000);
    await utimes(theirs, old, old);
    await upload();
    expect(await records()).toEqual([basename(theirs)]);
  });

  it('leaves out downloads that are not done', async () => {
    await writeFile(at('photos', '.a.holdfast-0123abcd.part'), 'half of it');
    await upload();
    expect(remote()).not.toContain('/p/.a.holdfast-0123abcd.part');
  });
});

describe('download -r', () => {
  beforeEach(() => {
    for (const path of ['/p', '/p/sub']) cluster.paths.set(path, 'directory');
    for (const name of names) cluster.put(`/p/${name}`, Buffer.alloc(sizeBytes, name), sizeBytes);
  });

  it('that was interrupted goes on to the same place and fetches only what is missing', async () => {
    await interruptedDownload();
    const [done = ''] = await fetched();
    const before = await stat(at('here', done));
    const again = await download();
    expect(again.stderr).toMatch(goesOn);
    expect(again.status).toBe(0);
    expect(last(again)).toMatchObject({ files: 2, sizeBytes: 2 * sizeBytes, unchanged: 1, failed: 0 });
    expect((await stat(at('here', done))).ino).toBe(before.ino);
    expect(await local()).toEqual(['a', 'b', 'sub', 'sub/c']);
    for (const name of names)
      expect((await readFile(at('here', name))).equals(Buffer.alloc(sizeBytes, name))).toBe(true);
    expect(await records()).toEqual([]);
    expect((await download()).status).toBe(0);
    expect(await local()).toContain('p/sub/c');
  });

  it('fetches a file that is there with another time only with --force', async () => {
    await interruptedDownload();
    const [done = ''] = await fetched();
    await utimes(at('here', done), 1, 1);
    const refused = await download();
    expect(refused.stderr).toMatch(/the same command tries again what failed/);
    expect(refused.status).toBe(4);
    expect(last(await download('--force'))).toMatchObject({ files: 1, unchanged: 2, failed: 0 });
  });

  it('shows with --dry-run where the same command would go, and begins anew with --no-resume', async () => {
    await interruptedDownload();
    const shown = await download('--dry-run');
    const there = await fetched();
    const missing = names.filter((name) => !there.includes(name));
    expect(missing).toHaveLength(2);
    expect(shown.documents.map((document) => document['local']).sort()).toEqual(
      missing.map((name) => at('here', ...name.split('/'))),
    );
    expect((await download('--dry-run', '--no-resume')).documents[0]).toMatchObject({
      local: at('here', 'p', 'a'),
    });
    expect(await records()).toHaveLength(1);
    await download('--no-resume');
    expect(await local()).toContain('p/sub/c');
  });

  it('leaves nothing to go on with where it was refused', async () => {
    const missing = () => run('download', '-r', '/p', at('no', 'here'));
    expect((await missing()).status).toBe(3);
    expect(await records()).toEqual([]);
    await mkdir(at('no', 'here'), { recursive: true });
    expect((await missing()).status).toBe(0);
    expect(await local('no')).toContain(join('here', 'p', 'a'));
  });

  it('goes into a directory that was made anew meanwhile, as cp does', async () => {
    await interruptedDownload();
    await rm(at('here'), { recursive: true });
    await mkdir(at('here'));
    const again = await download();
    expect(again.stderr).not.toMatch(goesOn);
    expect(again.status).toBe(0);
    expect(await readdir(at('here'))).toEqual(['p']);
  });

  it('by a pattern that stands for more by then is another command', async () => {
    const matching = () => run('download', '-r', '/p*', at('here'), '--json');
    await interrupted(matching, async () => (await fetched()).length > 0);
    cluster.paths.set('/p2', 'directory');
    cluster.put('/p2/a', Buffer.from('another one'));
    const again = await matching();
    expect(again.stderr).not.toMatch(goesOn);
    expect(again.status).toBe(0);
    expect((await readFile(at('here', 'p2', 'a'))).toString()).toBe('another one');
    expect((await readFile(at('here', 'p', 'a'))).equals(Buffer.alloc(sizeBytes, 'a'))).toBe(true);
  });
});
