/** `client completion bash` in a real bash, against a real cluster and against none. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import { spawn } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runHere } from '../support/command-here.js';
import { launcher, run } from '../support/command.js';
import { temporaryFolder } from '../support/files.js';

let cluster: Cluster;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** What a shell that starts has read: it is the same for every word, and a process of its own to ask for. */
let script: string;
beforeAll(async () => {
  cluster = await startCluster({ keepers: 3 });
  folder = await temporaryFolder();
  await symlink(launcher('client'), join(folder.path, 'client'));
  script = join(folder.path, 'completion');
  await writeFile(script, (await run('client', ['completion', 'bash'])).stdout);
  await writeFile(join(folder.path, 'local file'), '');
  const client = await cluster.connect();
  await client.makeDirectory('/dir/my dir/sub', { parents: true });
  for (const name of ["it's", 'a*b', '😀', 'new\nline', '.hidden', '-rf']) {
    await client.upload(Buffer.from(name), `/dir/${name}`);
  }
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

/** What bash would offer for the last of these words, as it has them: with their quotes. */
async function offered(
  words: string[],
  tracker: string | undefined = cluster.tracker.address,
): Promise<string[]> {
  const typed = `
    source "$0"
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _holdfast_client
    for one in "\${COMPREPLY[@]}"; do printf '%s\\n' "$one"; done`;
  const child = spawn('bash', ['-c', typed, script, 'client', ...words], {
    cwd: folder.path,
    env: { ...process.env, PATH: `${folder.path}:${process.env['PATH'] ?? ''}`, HOLDFAST_TRACKER: tracker },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  let errors = '';
  child.stdout.on('data', (part: Buffer) => (text += part.toString()));
  child.stderr.on('data', (part: Buffer) => (errors += part.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  expect(errors).toBe('');
  return text === '' ? [] : text.trimEnd().split('\n');
}

describe('completion in bash', () => {
  it.each<[string[], string[]]>([
    [['dow'], ['download']],
    [['tra'], ['trash']],
    [
      ['trash', ''],
      ['ls', 'restore', 'empty'],
    ],
    [['completion', 'z'], ['zsh']],
    [['ls', '--lo'], ['--long']],
    [['ls', '--sort', 's'], ['size']],
    [
      ['find', '/', '--type', ''],
      ['f', 'd'],
    ],
    [['--js'], ['--json']],
    [['ls', '/d'], ['/dir/']],
    [['ls', ''], ['/dir/']],
    [
      ['ls', '/dir/'],
      ['/dir/-rf', '/dir/a*b', "/dir/it's", '/dir/my dir/', '/dir/😀'],
    ],
    [['ls', '/dir/my\\ d'], ['/dir/my dir/']],
    [['ls', '"/dir/my d'], ['/dir/my dir/']],
    [['ls', "'/dir/my d"], ['/dir/my dir/']],
    [['cat', '-q', '/dir/.'], ['/dir/.hidden']],
    [['sync', 'photos', ':', '/di'], ['/dir/']],
    [['sync', 'photos', ':/di'], [':/dir/']],
    [['upload', 'loc'], ['local file']],
    [['ls', '--timeout', '/di'], []],
    [['status', '/d'], []],
    [['ls', '/nothing/x'], []],
  ])('of %j', async (words, expected) => {
    expect(await offered(words)).toEqual(expected);
  });

  it('offers nothing, soon and in silence, where no cluster answers', async () => {
    const startedMs = performance.now();
    expect(await offered(['ls', '/d'], '127.0.0.1:1')).toEqual([]);
    expect(await offered(['ls', '--lo'], '127.0.0.1:1')).toEqual(['--long']);
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });

  it('is for three shells', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      expect(await runHere(['completion', shell])).toMatchObject({ status: 0, stderr: '' });
    }
    expect(await runHere(['completion', 'csh'])).toMatchObject({ status: 2 });
  });
});
