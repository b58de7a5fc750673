/** The list of guards does not rot: each one's text is where it says, and so is its test. `npm run test:guards` runs them. */
import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Guard, guards } from './guards.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const read = (path: string): string =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : '';
const invariants = [...Array.from({ length: 11 }, (_, index) => `S${index + 1}`), 'liveness'];

/** The names of the guards of which `isWrong` holds: to be none. */
const those = (isWrong: (guard: Guard) => boolean): string[] =>
  guards.filter(isWrong).map(({ name }) => name);

describe('the list of guards', () => {
  it('names each once, with the invariant that it serves and a sentence', () => {
    expect(new Set(guards.map(({ name }) => name)).size).toBe(guards.length);
    expect(those(({ invariant }) => !invariants.includes(invariant))).toEqual([]);
    expect(those((guard) => !/^[A-Z].*\.$/.test(guard.guards))).toEqual([]);
    for (const invariant of invariants) expect(guards.map((guard) => guard.invariant)).toContain(invariant);
  });

  it('has the text of each once in its file, and something else for it', () => {
    expect(those(({ file, find }) => read(file).split(find).length !== 2)).toEqual([]);
    expect(those(({ find, replace }) => find === replace)).toEqual([]);
  });

  it('has a test for each, by a name that is there', () => {
    expect(those(({ test, only = '' }) => read(test) === '' || !read(test).includes(only))).toEqual([]);
  });
});
