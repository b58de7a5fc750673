import { describe, expect, test } from '@jest/globals';
import { bytesCopied, hasCopies } from '../../src/peers/moosefs-output.js';

describe('what the tools of MooseFS say', () => {
  test('every chunk has the copies', () => {
    const output = 'mount/f1:\n chunks with 2 copies:            4\n';
    expect(hasCopies(output, 1)).toBe(true);
    expect(hasCopies(output, 2)).toBe(true);
    expect(hasCopies(output, 3)).toBe(false);
  });

  test('one chunk lacks a copy', () => {
    const output = 'mount/f1:\n chunks with 1 copy:              1\n chunks with 2 copies:            3\n';
    expect(hasCopies(output, 2)).toBe(false);
    expect(hasCopies(output, 1)).toBe(true);
  });

  test('an empty file has no chunks that could lack any', () => {
    expect(hasCopies('mount/empty:\n', 2)).toBe(true);
  });

  test.each(['', 'mount/f1: no such file', 'mount/f1:\n chunks in another form: 4\n'])(
    'unknown: %j',
    (output) => {
      expect(() => hasCopies(output, 1)).toThrow('mfscheckfile');
    },
  );

  test('how much dd copied', () => {
    const said =
      '1024+0 records in\n1024+0 records out\n1073741824 bytes (1.1 GB, 1.0 GiB) copied, 1.5 s, 711 MB/s\n';
    expect(bytesCopied(said)).toBe(1_073_741_824);
    expect(() => bytesCopied('dd: failed to open')).toThrow('dd');
  });
});
