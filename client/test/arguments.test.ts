/**
 * What a program in plain JavaScript may hand over by mistake, to every method: INVALID_ARGUMENT with words, and never
 * an error of another kind from the depths. And what every method has in common: it takes a signal.
 */
import { describe, expect, it } from '@jest/globals';
import type { Writable } from 'node:stream';
import { HoldfastError } from '@holdfast/shared';
import { systemClock } from '@holdfast/shared/node';
import { HoldfastClient, connect } from '../src/index.js';
import { FakeCluster } from './support/fake-cluster.js';

const id = 'a'.repeat(32);

/** Each method with arguments that are right, and which of them are its options. */
const surface: Readonly<Record<string, readonly unknown[]>> = {
  upload: [Buffer.from('x'), '/new', {}],
  writeFile: ['/new', 'text', {}],
  uploadMany: [[], {}],
  downloadMany: [[], {}],
  append: [Buffer.from('x'), '/file', {}],
  compare: ['/nowhere/file', '/file', {}],
  download: ['/file', '/nowhere/file', {}],
  readFile: ['/file', {}],
  createReadStream: ['/file', {}],
  createReadableStream: ['/file', {}],
  createWriteStream: ['/new', {}],
  createWritableStream: ['/new', {}],
  list: ['/', {}],
  stat: ['/file', {}],
  move: ['/file', '/there', {}],
  copy: ['/file', '/there', {}],
  remove: ['/file', {}],
  makeDirectory: ['/directory', {}],
  listTrash: ['/', {}],
  restore: ['/file', {}],
  emptyTrash: ['/', {}],
  watch: ['/', {}],
  watchCursor: [{}],
  status: [{}],
  check: [{}],
  trashUnknownPieces: [id, {}],
  keepers: [{}],
  explain: ['/file', {}],
  previewKeeperLoss: [[id], {}],
  events: [{}],
  drainKeeper: [id, {}],
  rebalance: [{}],
  scrub: [[id], {}],
  listJobs: [{}],
  getJob: [id, {}],
  cancelJob: [id, {}],
  waitForJob: [id, {}],
  setMaintenance: [id, 1_000, {}],
  forgetKeeper: [id, {}],
};
const methods = Object.keys(surface);

/** What a call comes to: streams are read or written, iterations gone through. */
async function outcome(method: string, args: readonly unknown[]): Promise<unknown> {
  const cluster = new FakeCluster();
  cluster.put('/file', Buffer.from('bytes'));
  const client = new HoldfastClient(cluster.context(undefined, systemClock), () => undefined);
  const callable = client as unknown as Record<string, (...args: unknown[]) => unknown>;
  try {
    const result = await callable[method]!(...args);
    if (result instanceof WritableStream) {
      const writer = result.getWriter();
      writer.closed.catch(() => undefined);
      await writer.write('x');
      await writer.close();
    } else if (typeof result === 'object' && result !== null && 'committed' in result) {
      const stream = result as Writable & { committed: Promise<unknown> };
      stream.on('error', () => undefined).end('x');
      await stream.committed;
    } else if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
      for await (const _ of result as AsyncIterable<unknown>) continue;
    }
    return result;
  } catch (error) {
    return error;
  }
}

const mistakes: readonly [string, unknown][] = [
  ['null', null],
  ['a number', 7],
  ['NaN', NaN],
  ['true', true],
  ['an object', { nonsense: 1 }],
  ['a symbol', Symbol('s')],
  ['a function', () => undefined],
  ['an array', [undefined, 7]],
  ['an empty string', ''],
  ['a relative path', 'file'],
  ['a NUL', '/a\0b'],
];

describe('an argument of the wrong kind', () => {
  it('there is a case for every method', () => {
    const all = Object.getOwnPropertyNames(HoldfastClient.prototype);
    expect(methods.sort()).toEqual(all.filter((name) => !['constructor', 'close'].includes(name)).sort());
  });

  const optional = new Set(['watchCursor', 'status', 'check', 'keepers', 'events', 'rebalance', 'listJobs']);
  const required = methods.filter((method) => !optional.has(method));
  it.each(required.filter((method) => !['scrub', 'listTrash', 'emptyTrash'].includes(method)))(
    '%s without any',
    async (method) => {
      expect(await outcome(method, [])).toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );

  it.each(required)('%s with another first one', async (method) => {
    for (const [words, mistake] of mistakes) {
      const error = await outcome(method, [mistake, ...surface[method]!.slice(1)]);
      // A name of a local file may be relative; then it is not there.
      const isPath = ['upload', 'append', 'compare'].includes(method) && words === 'a relative path';
      if (!isPath) expect([words, error]).toMatchObject([words, { code: 'INVALID_ARGUMENT' }]);
      expect((error as Error).message).toMatch(/\w{3}/);
    }
  });

  it.each(methods)('%s with other options', async (method) => {
    const before = surface[method]!.slice(0, -1);
    // For these two, null is no encoding, as node:fs/promises has it.
    const nulls = ['readFile', 'writeFile'].includes(method) ? [] : [null];
    for (const options of [...nulls, 7, true, 'nonsense', Symbol('s')]) {
      const error = await outcome(method, [...before, options]);
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    for (const signal of [7, 'abort', {}, { aborted: false }]) {
      expect(await outcome(method, [...before, { signal }])).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });

  it.each([
    ['move', { overwrite: 'no' }],
    ['move', { expectedVersion: -1 }],
    ['copy', { expectedVersion: '3' }],
    ['remove', { recursive: 'yes' }],
    ['remove', { expectedVersion: 1.5 }],
    ['restore', { to: 7 }],
    ['restore', { version: NaN }],
    ['makeDirectory', { parents: 1 }],
    ['upload', { replicas: -1 }],
    ['upload', { minWrite: '2' }],
    ['upload', { concurrency: '3' }],
    ['upload', { onProgress: 'told' }],
    ['upload', { attributes: 'none' }],
    ['upload', { attributes: { mode: 'rw' } }],
    ['download', { overwrite: 0 }],
    ['readFile', { encoding: 'klingon' }],
    ['readFile', { maxBytes: '1' }],
    ['readFile', { start: '1' }],
    ['readFile', { start: Symbol('s') }],
    ['list', { depth: 'all' }],
    ['events', { limit: 'all' }],
  ])('%s with %j', async (method, options) => {
    const error = await outcome(method, [...surface[method]!.slice(0, -1), options]);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', retryable: false });
  });

  it('connect with other options', async () => {
    for (const options of [null, 'localhost:1', { tracker: 7 }, { memoryBytes: '1' }, { signal: 1 }]) {
      await expect(connect(options as object)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
  });
});

describe('every method', () => {
  it.each(methods)('%s takes a signal', async (method) => {
    const abort = new AbortController();
    abort.abort(new HoldfastError('CANCELLED', 'enough'));
    const error = await outcome(method, [...surface[method]!.slice(0, -1), { signal: abort.signal }]);
    expect(error).toMatchObject({ code: 'CANCELLED', message: 'enough' });
  });
});
