import { describe, expect, it } from '@jest/globals';
import { baseName, joinPath, parentPath, splitPath } from '../../src/domain/paths.js';

describe('splitPath', () => {
  it.each([
    ['/', []],
    ['/a', ['a']],
    ['/a b/ü/😀', ['a b', 'ü', '😀']],
    ['/a..b/..c/d..', ['a..b', '..c', 'd..']],
    ['/-rf', ['-rf']],
    ['/line\nbreak', ['line\nbreak']],
    [`/${'x'.repeat(255)}`, ['x'.repeat(255)]],
  ])('takes %j', (path, names) => {
    expect(splitPath(path)).toEqual(names);
  });

  it('keeps NFC and NFD twins apart', () => {
    expect(splitPath('/\u00e9')).not.toEqual(splitPath('/e\u0301'));
  });

  it.each([
    '',
    'a',
    './a',
    '/a/',
    '//a',
    '/a//b',
    '/./a',
    '/a/..',
    '/a\0b',
    `/${'x'.repeat(256)}`,
    `/${'é'.repeat(128)}`,
    `${'/abcdefg'.repeat(513)}`,
    '/\ud83d',
  ])('refuses %j', (path) => {
    expect(() => splitPath(path)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

describe('joinPath, parentPath and baseName', () => {
  it.each(['/a', '/a/b', '/a/b/c d'])('undo each other for %j', (path) => {
    expect(joinPath(parentPath(path), baseName(path))).toBe(path);
  });
  it('leave the root where it is', () => {
    expect([parentPath('/'), baseName('/'), joinPath('/', 'a')]).toEqual(['/', '', '/a']);
  });
});
