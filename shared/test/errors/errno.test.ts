import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { exitStatusOf, fromErrno, HoldfastError, hasCode } from '../../src/errors/index.js';

describe('fromErrno', () => {
  it('names what was being done, the code and the remedy', async () => {
    const error = await readFile('/no/such/file').catch((cause: unknown) => fromErrno(cause, 'cannot read'));
    expect(error).toMatchObject({ code: 'NOT_FOUND', facts: { errno: 'ENOENT' } });
    expect((error as HoldfastError).message).toMatch(/^cannot read: ENOENT/);
    expect((error as HoldfastError).remedy).not.toBe('');
    expect(exitStatusOf(error)).toBe(3);
  });

  it('takes the fallback for what it does not know, and leaves a HoldfastError alone', () => {
    expect(fromErrno(new Error('odd'), 'x', 'DISK_FAILED').code).toBe('DISK_FAILED');
    const known = new HoldfastError('DATA_LOSS', 'gone');
    expect(fromErrno(known, 'x')).toBe(known);
  });
});

describe('HoldfastError', () => {
  it('is recognised across copies of the package', () => {
    const copy = { [Symbol.for('holdfast.error')]: true, code: 'NOT_FOUND' };
    expect(HoldfastError.is(copy)).toBe(true);
    expect(hasCode(copy, 'NOT_FOUND')).toBe(true);
    expect(HoldfastError.is(new Error('plain'))).toBe(false);
    expect(exitStatusOf(new Error('plain'))).toBe(1);
  });
});
