/**
 * What verbs refuse: the same thing that is wrong ends with the same status over all of them, and --dry-run says it as
 * the run does.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Cluster, startCluster } from '@holdfast/local-cluster';
import type { HoldfastClient } from '@holdfast/client';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runHere } from '../support/command-here.js';
import { temporaryFolder } from '../support/files.js';

let cluster: Cluster;
let library: HoldfastClient;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

/** Paths without a "/" are local ones. */
async function client(words: string) {
  const here = join(folder.path, 'here');
  const [verb = '', ...more] = words.split(' ');
  const args = more.map((word) => (/^[-/]/.test(word) ? word : `${here}/${word}`));
  const { status, stdout, stderr } = await runHere([verb, '--tracker', cluster.trackerAddress, ...args], {
    XDG_STATE_HOME: join(folder.path, 'state'),
  });
  return { status, stdout: stdout.toString(), stderr: stderr.replaceAll(`${here}/`, '') };
}

const local = () => readdir(join(folder.path, 'here'), { recursive: true });

async function remote(): Promise<string[]> {
  const found: string[] = [];
  for await (const { path, version } of library.list('/', { depth: Infinity }))
    found.push(`${path} ${version}`);
  return found;
}

/** `one` is a file, `tree` is a directory with `tree/one` and `tree/deep/two`, on both sides; `taken` has a directory `one`. */
beforeAll(async () => {
  folder = await temporaryFolder();
  cluster = await startCluster({ keepers: 3 });
  library = await cluster.connect();
  for (const path of ['one', 'tree/one', 'tree/deep/two']) {
    const place = join(folder.path, 'here', path);
    await mkdir(dirname(place), { recursive: true });
    await writeFile(place, path);
    await library.writeFile(`/${path}`, path, { createParents: true });
  }
  await mkdir(join(folder.path, 'here', 'taken', 'one'), { recursive: true });
  await library.makeDirectory('/taken/one', { parents: true });
});
afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

type Row = readonly [words: string, status: number, message: RegExp];
const rows: readonly Row[] = [
  // No source.
  ['upload none /new', 3, /no such file/],
  ['download /none new', 3, /\/none does not exist/],
  ['cp /none /new', 3, /\/none does not exist/],
  ['mv /none /new', 3, /\/none does not exist/],
  ['append none /new', 3, /no such file/],
  // The source, or the target, is below a file.
  ['upload one/x /new', 4, /not a directory/],
  ['upload one /one/x', 4, /\/one is a file/],
  ['download /one/x new', 4, /\/one is a file/],
  ['download /one one/x', 4, /not a directory/],
  ['cp /one/x /new', 4, /\/one is a file/],
  ['cp /tree/one /one/x', 4, /\/one is a file/],
  ['mv /one/x /new', 4, /\/one is a file/],
  ['mv /tree/one /one/x', 4, /\/one is a file/],
  ['append one /one/x', 4, /\/one is a file/],
  // No directory to put it into.
  ['upload one /no/new', 3, /\/no does not exist\n.*mkdir -p \/no;/],
  ['upload -r tree /no/new', 3, /\/no does not exist\n.*mkdir -p \/no;/],
  ['upload one /no/', 3, /no remote directory/],
  ['upload one tree/one /no', 3, /no remote directory/],
  ['download /one no/new', 3, /no such file/],
  ['download -r /tree no/new', 3, /no such file/],
  ['download /one no/', 3, /no local directory/],
  ['download /one /tree/one no', 3, /no local directory/],
  ['cp /one /no/new', 3, /\/no does not exist\n.*mkdir -p \/no;/],
  ['cp -r /tree /no/new', 3, /\/no does not exist\n.*mkdir -p \/no;/],
  ['cp /one /no/', 3, /no remote directory/],
  ['cp /one /tree/one /no', 3, /no remote directory/],
  ['mv /one /no/new', 3, /\/no does not exist\n.*mkdir -p \/no;/],
  ['mv /tree /no/new', 3, /\/no does not exist\n.*mkdir -p \/no;/],
  ['mv /one /no/', 3, /no remote directory/],
  ['mv /one /tree/one /no', 3, /no remote directory/],
  ['append one /no/new', 3, /\/no does not exist\n.*mkdir -p \/no;/],
  // There is a file.
  ['upload one /one', 4, /\/one exists/],
  ['upload one /tree', 4, /\/tree\/one exists/],
  ['download /one one', 4, /"one" exists/],
  ['download /one tree', 4, /one" exists/],
  ['cp /tree/one /one', 4, /\/one exists/],
  ['cp /one /tree', 4, /\/tree\/one exists/],
  ['mv /tree/one /one', 4, /\/one exists/],
  ['mv /one /tree', 4, /\/tree\/one exists/],
  // There is something of the other type.
  ['upload one /taken', 4, /\/taken\/one exists/],
  ['upload -f one /taken', 4, /\/taken\/one is a directory/],
  ['upload -rf tree /one', 4, /"\/one" is a file, not a directory/],
  ['upload one tree/one /one', 4, /"\/one" is a file, not a directory/],
  ['upload one /one/', 4, /"\/one" is a file, not a directory/],
  ['download /one taken', 4, /is a directory/],
  ['download -f /one taken', 4, /is a directory/],
  ['download -rf /tree one', 4, /"one" is a file, not a directory/],
  ['download /one /tree/one one', 4, /"one" is a file, not a directory/],
  ['download /one one/', 4, /not a directory/],
  ['cp /one /taken', 4, /\/taken\/one exists/],
  ['cp -f /one /taken', 4, /\/taken\/one is a directory/],
  ['cp -rf /tree /one', 4, /"\/one" is a file, not a directory/],
  ['cp /tree/one /tree/deep/two /one', 4, /"\/one" is a file, not a directory/],
  ['cp /tree/one /one/', 4, /"\/one" is a file, not a directory/],
  ['mv /one /taken', 4, /\/taken\/one exists/],
  ['mv -f /one /taken', 4, /\/taken\/one is a directory/],
  ['mv /tree /one', 4, /\/one exists/],
  ['mv -f /tree /one', 4, /\/one is a file/],
  ['mv /tree/one /tree/deep/two /one', 4, /"\/one" is a file, not a directory/],
  ['mv /tree/one /one/', 4, /"\/one" is a file, not a directory/],
  ['append one /tree', 4, /is a directory/],
  // The source is a directory.
  ['upload tree /new', 4, /Use -r/],
  ['download /tree new', 4, /Use -r/],
  ['cp /tree /new', 4, /Use -r/],
  ['append tree /new', 4, /"tree" is a directory\n {2}Name a file/],
  ['append one /tree/new/', 4, /"\/tree\/new\/" names a directory/],
  // Nonsense.
  ['cp /one /one', 2, /onto itself/],
  ['cp -f /one /one', 2, /onto itself/],
  ['cp -r /tree /tree/deep', 2, /into itself/],
  ['cp -r /tree /tree', 2, /into itself/],
  ['mv /one /one', 2, /onto itself/],
  ['mv -f /one /one', 2, /onto itself/],
  ['mv /tree /tree/deep', 2, /into itself/],
  ['mv /tree /tree', 2, /into itself/],
  ['mv / /new', 2, /cannot be moved/],
  ['cp -r / /new', 2, /cannot be copied/],
];

/** Part files have names of their own. */
const plain = (text: string): string => text.replace(/(E[A-Z]+): .*/g, '$1');

describe.each(rows)('client %s', (words, status, message) => {
  it(`ends with ${status} and leaves all as it was, also with --dry-run`, async () => {
    const before = [await local(), await remote()];
    const real = await client(words);
    expect(real.stderr).toMatch(message);
    expect(real).toMatchObject({ status, stdout: '' });
    if (!words.startsWith('append ')) {
      const shown = await client(`${words} --dry-run`);
      expect({ ...shown, stderr: plain(shown.stderr) }).toEqual({ ...real, stderr: plain(real.stderr) });
    }
    expect([await local(), await remote()]).toEqual(before);
  });
});
