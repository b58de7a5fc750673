import { describe, expect, test } from '@jest/globals';
import { Writable } from 'node:stream';
import { HoldfastError } from '../../src/errors/index.js';
import { cut, formatHuman, formatJson, type LogEntry } from '../../src/program/log-format.js';
import { createLogger } from '../../src/program/logging.js';

function entry(message: string, fields: Record<string, unknown> = {}): LogEntry {
  return { time: new Date(2026, 0, 2, 3, 4, 5, 6), level: 'warn', program: 'data-keeper', message, fields };
}

const human = (message: string, fields?: Record<string, unknown>) =>
  formatHuman(entry(message, fields), { colour: false });
const json = (message: string, fields?: Record<string, unknown>) =>
  JSON.parse(formatJson(entry(message, fields))) as Record<string, unknown>;

const lost = new HoldfastError('UNAVAILABLE', 'the keeper is gone', {
  cause: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
  facts: { keeper: 'k1' },
});

describe('a line for people', () => {
  test('has the time, the level, the message and the fields', () => {
    expect(human('piece stored', { chunk: 'ab', bytes: 5, dir: 'a b', none: undefined })).toBe(
      '03:04:05.006 warn  piece stored chunk=ab bytes=5 dir="a b"',
    );
  });

  test('shows errors with their codes and causes', () => {
    expect(human('failed', { error: lost })).toContain(
      'error="the keeper is gone [UNAVAILABLE] <- connect ECONNREFUSED [ECONNREFUSED]"',
    );
  });

  test('stays one line, whatever is in it', () => {
    const line = human('bad\nname', { path: '/a\n03:04:05 error forged', escape: '\u001b[2J' });
    expect(line).not.toMatch(/[\n\u001b]/); // eslint-disable-line no-control-regex
  });
});

describe('a line for machines', () => {
  test('holds errors, bytes, big integers and cycles', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    const line = json('failed', {
      error: lost,
      data: Buffer.from('abc'),
      nested: { data: new Uint8Array(9), big: 5n, error: new RangeError('far') },
      cycle,
      level: 'mine',
    });
    expect(line).toMatchObject({
      level: 'warn',
      _level: 'mine',
      program: 'data-keeper',
      message: 'failed',
      error: {
        message: 'the keeper is gone',
        code: 'UNAVAILABLE',
        facts: { keeper: 'k1' },
        cause: { code: 'ECONNREFUSED' },
      },
      data: '<3 bytes>',
      nested: { data: '<9 bytes>', big: '5', error: { message: 'far' } },
      cycle: '<cannot be shown>',
    });
  });

  test('has the stack of a defect only', () => {
    expect(json('x', { error: new TypeError('oops') })['error']).toHaveProperty('stack');
    expect(json('x', { error: lost })['error']).not.toHaveProperty('stack');
  });

  test('cuts long values between whole characters', () => {
    expect(json('x', { text: 'y'.repeat(5000) })['text']).toBe(`${'y'.repeat(1024)}… (3976 more)`);
    expect(cut('a😀b', 2)).toBe('a… (3 more)');
  });
});

test('a logger writes what its level lets through at once, with inherited fields', () => {
  let written = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written += chunk.toString();
      done();
    },
  });
  const logger = createLogger({ program: 'tracker', level: 'info', stream });
  const child = logger.child({ keeper: 'k1' }).child({ chunk: 'c1' });
  logger.debug('hidden');
  child.info('stored', { chunk: 'c2' });
  logger.error('plain');
  const lines = written.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { level: 'info', program: 'tracker', message: 'stored', keeper: 'k1', chunk: 'c2' },
    { level: 'error', message: 'plain' },
  ]);
});
