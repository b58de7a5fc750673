/** Two trees side by side, and the patterns that leave parts of them out. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { HoldfastError } from '@holdfast/shared';
import { exclusion } from '../src/cli/path-pattern.js';
import { type Tree, pairsOf } from '../src/cli/tree-pairs.js';

interface Node {
  readonly names: readonly string[];
  readonly type: 'file' | 'directory';
}
type Paths = ReadonlyMap<string, Node['type']>;

const top: Node = { names: [], type: 'directory' };
const bytes = (text: string): Buffer => Buffer.from(text);

/** A tree of the paths of files; directories are where something is in them. */
function pathsOf(files: readonly string[]): Paths {
  const paths = new Map<string, Node['type']>();
  for (const file of files) {
    const names = file.split('/');
    if (names.some((_name, index) => paths.get(names.slice(0, index).join('/')) === 'file')) continue;
    if (paths.has(file)) continue;
    for (let depth = 1; depth < names.length; depth += 1)
      paths.set(names.slice(0, depth).join('/'), 'directory');
    paths.set(file, 'file');
  }
  return paths;
}

function treeOf(paths: Paths, opened: string[] = []): Tree<Node> {
  return {
    open: async ({ names }) => {
      const path = names.join('/');
      opened.push(path);
      const below = [...paths].map(([at, type]) => ({ names: at.split('/'), type }));
      const inIt = below.filter((node) => node.names.slice(0, -1).join('/') === path);
      inIt.sort((a, b) => Buffer.compare(bytes(a.names.at(-1)!), bytes(b.names.at(-1)!)));
      return (async function* () {
        yield* inIt;
      })();
    },
  };
}

async function paired(left: Paths, right: Paths): Promise<string[]> {
  const found: string[] = [];
  for await (const pair of pairsOf(treeOf(left), treeOf(right), { left: top, right: top }, () => true)) {
    const shown = (node?: Node): string => (node ? `${node.type}` : '-');
    found.push(`${(pair.left ?? pair.right)!.names.join('/')} ${shown(pair.left)} ${shown(pair.right)}`);
  }
  return found;
}

describe('pairs of two trees', () => {
  it('go by names, not by whole paths, and by bytes, not by text', async () => {
    const left = pathsOf(['a/b', 'a-b', '\uff5e', '😀']);
    const right = pathsOf(['a/c', 'a-b/x', 'a.b', '😀']);
    expect(await paired(left, right)).toEqual([
      ' directory directory',
      'a directory directory',
      'a/b file -',
      'a/c - file',
      'a-b file directory',
      'a-b/x - file',
      'a.b - file',
      '\uff5e file -',
      '😀 file file',
    ]);
  });

  it('are each entry of either once, with what the other has there', async () => {
    const name = fc.constantFrom('a', 'b', '-', '.', '😀', '\uff5e', 'a-', '\n');
    const files = fc.array(fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/')));
    await fc.assert(
      fc.asyncProperty(files, files, async (ones, others) => {
        const [left, right] = [pathsOf(ones), pathsOf(others)];
        const expected = [...new Set([...left.keys(), ...right.keys()])].map(
          (path) => `${path} ${left.get(path) ?? '-'} ${right.get(path) ?? '-'}`,
        );
        const found = await paired(left, right);
        expect(found.slice(1).sort()).toEqual(expected.sort());
      }),
    );
  });

  it('leave out what is below a pair that is not gone into, and do not read it', async () => {
    const opened: string[] = [];
    const left = treeOf(pathsOf(['a/b', 'c/d']), opened);
    const pairs = pairsOf(left, treeOf(pathsOf(['a/b'])), { left: top, right: top }, ({ right }) =>
      Boolean(right),
    );
    const found: string[] = [];
    for await (const pair of pairs) found.push((pair.left ?? pair.right)!.names.join('/'));
    expect({ found, opened }).toEqual({ found: ['', 'a', 'a/b', 'c'], opened: ['', 'a'] });
  });

  it('say where a directory could not be read, and claim nothing of what is in it', async () => {
    const files = pathsOf(['a/b', 'c']);
    const left: Tree<Node> = {
      open: (node) =>
        node.names.length > 0
          ? Promise.reject(new HoldfastError('PERMISSION_DENIED', 'closed'))
          : treeOf(files).open(node),
    };
    const found: unknown[] = [];
    for await (const pair of pairsOf(left, treeOf(files), { left: top, right: top }, () => true)) {
      found.push([pair.right?.names.join('/'), pair.unreadable?.code]);
    }
    expect(found).toEqual([
      ['', undefined],
      ['a', undefined],
      ['a', 'PERMISSION_DENIED'],
      ['c', undefined],
    ]);
  });
});

describe('an exclusion', () => {
  it.each<[string, string[], string[]]>([
    ['*.tmp', ['a.tmp', 'd/a.tmp', '.tmp'], ['a.tmpx', 'd']],
    ['d/*.tmp', ['d/a.tmp'], ['a.tmp', 'x/d/a.tmp', 'd/e/a.tmp']],
    ['/top', ['top'], ['x/top']],
    ['**/c/x', ['c/x', 'a/c/x', 'a/b/c/x'], ['x', 'c/y/x']],
    ['a/**/x', ['a/x', 'a/b/c/x'], ['x', 'b/x']],
    ['cache/', ['cache/', 'd/cache/'], ['cache', 'd/cache']],
    ['/d/cache/', ['d/cache/'], ['cache/', 'd/cache']],
    ['[ab]', ['a', 'x/b'], ['c']],
    ['\\*', ['*'], ['a']],
    ['a\nb', ['a\nb'], ['a']],
  ])('%j', (glob, fits, others) => {
    const isExcluded = exclusion(glob);
    const test = (path: string): boolean =>
      isExcluded(path.replace(/\/$/, '').split('/'), path.endsWith('/'));
    expect([fits.filter((path) => !test(path)), others.filter(test)]).toEqual([[], []]);
  });
});
