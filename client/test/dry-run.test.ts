/** --dry-run of trees against what is at their destinations; tests/integration/refusals compares single refusals. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeCluster } from './support/fake-cluster.js';
import { type CliOutcome, cli } from './support/run-cli.js';

let dir: string;
let cluster: FakeCluster;
const at = (...names: string[]) => join(dir, ...names);

/** `new` is free, `old` is taken, `mixed` and `bare` are directories where files are, `odd` is the other way round. */
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-dry-'));
  cluster = new FakeCluster();
  for (const top of ['tree', 'there/tree']) await mkdir(at(top), { recursive: true });
  for (const path of ['/tree', '/there', '/there/tree']) cluster.paths.set(path, 'directory');
  for (const path of ['mixed', 'bare']) {
    await mkdir(at('tree', path));
    cluster.paths.set(`/tree/${path}`, 'directory');
    await writeFile(at('there/tree', path), 'in the way');
    cluster.put(`/there/tree/${path}`, Buffer.from('in the way'));
  }
  await mkdir(at('there/tree/odd'));
  cluster.paths.set('/there/tree/odd', 'directory');
  for (const path of ['tree/mixed/deep', 'tree/new', 'tree/odd', 'tree/old', 'there/tree/old', 'single']) {
    await writeFile(at(path), path);
    cluster.put(`/${path}`, Buffer.from(path));
  }
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const state = async () => [[...cluster.paths], await readdir(dir, { recursive: true })];

/** What came of each file, in any order; a remedy comes once, wherever. */
function told({ status, stdout, stderr }: CliOutcome) {
  return {
    status,
    moved: (stdout.match(/^.* → [^:\n]*/gm) ?? []).sort(),
    refused: stderr
      .split('\n')
      .filter((line) => !line.startsWith('  '))
      .sort(),
  };
}

describe.each<[string[], number, number]>([
  [['upload', '-r', '@tree', '/there'], 1, 4],
  [['upload', '-rf', '@tree', '/there'], 2, 3],
  [['upload', '-r', '@tree', '@single', '/there'], 2, 4],
  [['download', '-r', '/tree', '@there'], 1, 4],
  [['download', '-rf', '/tree', '@there'], 2, 3],
  [['download', '-r', '/tree', '/single', '@there'], 2, 4],
])('%j', (words, moved, refused) => {
  it('shows with --dry-run the files that are moved then, and the errors of the others', async () => {
    const argv = words.map((word) => (word.startsWith('@') ? at(word.slice(1)) : word));
    const before = await state();
    const shown = told(await cli(cluster, [...argv, '--dry-run']));
    expect(await state()).toEqual(before);
    expect([shown.moved.length, shown.refused.length - 1]).toEqual([moved, refused]);
    expect(told(await cli(cluster, argv))).toEqual(shown);
  });
});

it('of cp -r shows them likewise', async () => {
  const before = await state();
  for (const [flags, count, errors] of [
    ['-r', 1, /old exists[^]*odd exists|odd exists[^]*old exists/],
    ['-rf', 2, /odd is a directory/],
  ] as const) {
    const shown = await cli(cluster, ['cp', flags, '/tree', '/there', '--dry-run']);
    expect(shown).toMatchObject({ status: 4, stderr: expect.stringMatching(errors) });
    expect(shown.stderr).toMatch(/"\/there\/tree\/bare" is a file[^]*"\/there\/tree\/mixed" is a file/);
    expect(told(shown).moved).toHaveLength(count);
    expect(await state()).toEqual(before);
    const real = await cli(cluster, ['cp', flags, '/tree', '/there']);
    expect(told(real)).toMatchObject({ status: shown.status, refused: told(shown).refused });
    cluster.paths.clear();
    for (const [path, version] of before[0] as [string, number][]) cluster.paths.set(path, version);
  }
});
