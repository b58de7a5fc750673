/** A file's bytes on standard output, and what is said while none come. */
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { PassThrough, type Readable, Writable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import type { CliIo } from '../src/cli/io.js';
import { Reporter } from '../src/cli/reporter.js';
import { writeOut } from '../src/cli/write-out.js';

// Streams go on while the clock stands still.
beforeEach(() => void jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] }));
afterEach(() => void jest.useRealTimers());

function begin(bytes: Readable, stdout: Writable, quiet = false) {
  const lines: string[] = [];
  const stderr = { write: (line: string) => lines.push(line) };
  const io = { program: 'client', stdout, stderr, env: {} } as unknown as CliIo;
  const report = new Reporter(io, { json: false, quiet });
  return { lines, done: writeOut({ io, report }, '/a file', bytes) };
}

it('says so when no bytes come, and again when that lasts after some came', async () => {
  const [bytes, stdout] = [new PassThrough(), new PassThrough()];
  const written: Buffer[] = [];
  stdout.on('data', (part: Buffer) => written.push(part));
  const { lines, done } = begin(bytes, stdout);
  await jest.advanceTimersByTimeAsync(4_000);
  expect(lines).toEqual([]);
  await jest.advanceTimersByTimeAsync(20_000);
  const line =
    'client: still waiting for bytes of "/a file" (client explain shows which keepers have them)\n';
  expect(lines).toEqual([line]);
  bytes.write('some');
  await turn();
  await jest.advanceTimersByTimeAsync(4_000);
  expect(lines).toEqual([line]);
  await jest.advanceTimersByTimeAsync(4_000);
  bytes.end(' more');
  await done;
  await jest.advanceTimersByTimeAsync(60_000);
  expect(lines).toEqual([line, line]);
  expect(Buffer.concat(written).toString()).toBe('some more');
});

it('does not complain of a reader that takes nothing, nor as soon as it takes something', async () => {
  let take = (): void => undefined;
  const stdout = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, taken) => void (take = taken) });
  const bytes = new PassThrough();
  const { lines, done } = begin(bytes, stdout);
  bytes.write('one');
  await turn();
  // Not a whole number of times as long as it waits.
  await jest.advanceTimersByTimeAsync(64_000);
  take();
  await turn();
  await jest.advanceTimersByTimeAsync(4_000);
  expect(lines).toEqual([]);
  await jest.advanceTimersByTimeAsync(4_000);
  expect(lines).toHaveLength(1);
  bytes.end();
  await done;
});

it('says nothing with --quiet', async () => {
  const bytes = new PassThrough();
  const { lines, done } = begin(bytes, new PassThrough(), true);
  await jest.advanceTimersByTimeAsync(60_000);
  bytes.end();
  await done;
  expect(lines).toEqual([]);
});
