import { describe, expect, test } from '@jest/globals';
import { HoldfastError } from '../src/errors/index.js';
import { didYouMean } from '../src/program/did-you-mean.js';
import {
  formatAddress,
  parseAddress,
  parseAddresses,
  parseDuration,
  parseSize,
} from '../src/values/index.js';

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(HoldfastError.is(error) && error.code).toBe('INVALID_ARGUMENT');
    return (error as Error).message;
  }
  throw new Error('no error');
}

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['16MiB', 16 * 1024 * 1024],
    ['16 mib', 16 * 1024 * 1024],
    ['1.5GB', 1_500_000_000],
    ['64k', 65_536],
    ['2T', 2 * 1024 ** 4],
    ['.5KiB', 512],
    ['10B', 10],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each([
    ['', 'is not a size'],
    ['-1', 'is not a size'],
    ['1e9', 'is not a size'],
    ['16Mb2', 'is not a size'],
    ['16XB', 'has the unknown unit "xb"'],
    ['9000PiB', 'is too large'],
  ])('refuses %j', (text, problem) => {
    expect(messageOf(() => parseSize(text))).toBe(
      `"${text}" ${problem}; expected a size, such as 16MiB, 1.5GB or 4096`,
    );
  });
});

describe('durations', () => {
  test.each([
    ['0', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1.5h', 5_400_000],
    ['21d', 21 * 86_400_000],
  ])('%s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  test.each([
    ['30', 'has no unit'],
    ['30 parsecs', 'has the unknown unit "parsecs"'],
    ['soon', 'is not a duration'],
    ['-5s', 'is not a duration'],
  ])('refuses %j', (text, problem) => {
    expect(messageOf(() => parseDuration(text))).toContain(`"${text}" ${problem}; expected a duration`);
  });
});

describe('addresses', () => {
  test.each([
    ['127.0.0.1:7400', '127.0.0.1', 7400],
    ['tracker.lan:1', 'tracker.lan', 1],
    ['[::1]:65535', '::1', 65535],
    ['[fe80::1%eth0]:80', 'fe80::1%eth0', 80],
  ])('%s', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(formatAddress(parseAddress(text))).toBe(text);
  });

  test.each([
    ['localhost', 'has no port'],
    ['localhost:', 'is not an address'],
    ['::1', 'without brackets'],
    ['http://a:80', 'is a URL'],
    ['a:0', 'has the port 0; expected 1 to 65535'],
    ['a:65536', 'has the port 65536'],
    ['a b:80', 'is not an address'],
    ['', 'has no port'],
  ])('refuses %j', (text, problem) => expect(messageOf(() => parseAddress(text))).toContain(problem));

  test('take port 0 only to listen', () => {
    expect(parseAddress('0.0.0.0:0', { allowPortZero: true })).toEqual({ host: '0.0.0.0', port: 0 });
  });

  test('come in lists', () => {
    expect(parseAddresses('a:1,b:2').map(formatAddress)).toEqual(['a:1', 'b:2']);
    expect(messageOf(() => parseAddresses('a:1,'))).toContain('"" has no port');
  });
});

test('a mistyped name brings the nearest one to mind, and a strange one none', () => {
  const names = ['--data-dir', '--listen', '--min-write'];
  expect(didYouMean('--min-wirte', names)).toBe('--min-write');
  expect(didYouMean('--datadir', names)).toBe('--data-dir');
  expect(didYouMean('--colour', names)).toBeUndefined();
});
