/** Local trees, as uploads and syncs walk them. */
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type WalkOptions, walkLocal } from '../src/cli/local-tree.js';

let dir = '';
const at = (...names: string[]): string => join(dir, ...names);
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-walk-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function walked(options?: WalkOptions): Promise<string[]> {
  const found: string[] = [];
  for await (const { remote, kind } of walkLocal(dir, '/t', options)) found.push(`${remote} ${kind}`);
  return found;
}

describe('a walk through a local directory', () => {
  it('has each directory before what is in it, and its names in byte order, whatever order text has', async () => {
    await mkdir(at('a', 'z'), { recursive: true });
    // In UTF-16 the second of these comes first.
    const files = ['a-b', 'a.b', 'a/b', 'a/z/1', 'Z', '\uff5e', '😀', 'é', 'e\u0301', '-x', 'n\nl', ' '];
    for (const name of files) await writeFile(at(name), '');
    const top = [
      ' ',
      '-x',
      'Z',
      'a',
      'a/b',
      'a/z',
      'a/z/1',
      'a-b',
      'a.b',
      'e\u0301',
      'n\nl',
      'é',
      '\uff5e',
      '😀',
    ];
    const kindOf = (name: string): string => (['a', 'a/z'].includes(name) ? 'directory' : 'file');
    expect(await walked()).toEqual(['/t directory', ...top.map((name) => `/t/${name} ${kindOf(name)}`)]);
  });

  it('says the size and the time of a file in the milliseconds that an upload keeps', async () => {
    await writeFile(at('f'), 'abc');
    for await (const entry of walkLocal(dir, '/t')) {
      if (entry.kind !== 'file') continue;
      expect(entry).toMatchObject({ sizeBytes: 3, path: at('f') });
      expect(Math.abs(entry.modifiedAtUnixMs - Date.now())).toBeLessThan(60_000);
      expect(Number.isInteger(entry.modifiedAtUnixMs)).toBe(true);
    }
  });

  it('goes around no circle of links, by whatever way', async () => {
    await mkdir(at('a', 'b'), { recursive: true });
    await symlink('../..', at('a', 'b', 'up'));
    await symlink('a', at('other'));
    expect(await walked()).toEqual([
      '/t directory',
      '/t/a directory',
      '/t/a/b directory',
      '/t/a/b/up skipped',
      '/t/other directory',
      '/t/other/b directory',
      '/t/other/b/up skipped',
    ]);
  });

  it('does not go into what is excluded', async () => {
    await mkdir(at('a', 'b', 'c'), { recursive: true });
    await writeFile(at('a', 'b', 'f'), '');
    const seen: string[] = [];
    const found = await walked({
      isExcluded: (names, isDirectory) => {
        seen.push(names.join('/'));
        return isDirectory && names.at(-1) === 'b';
      },
    });
    expect({ found, seen }).toEqual({ found: ['/t directory', '/t/a directory'], seen: ['a', 'a/b'] });
  });
});
