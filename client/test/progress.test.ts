/** How far a transfer is, in lines. */
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import type { CliIo } from '../src/cli/io.js';
import { startProgress } from '../src/cli/progress.js';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

it('tells a total and the time that is left once they are known, and not before', async () => {
  const lines: string[] = [];
  const stderr = { write: (line: string) => lines.push(line) };
  const progress = await startProgress({ stderr } as unknown as CliIo, false, 'uploaded');
  let counted = 0;
  let count = (): void => undefined;
  progress.countAhead(() => {
    counted += 1;
    return new Promise((resolve) => (count = () => resolve({ bytes: 4096, files: 40 })));
  });
  progress.expect(1024, 10);
  progress.moved(1024);
  for (let file = 0; file < 10; file += 1) progress.fileDone();
  expect(counted).toBe(0);
  await jest.advanceTimersByTimeAsync(5_000);
  count();
  await jest.advanceTimersByTimeAsync(5_000);
  // Met after all was counted: it is in the total already.
  progress.expect(1024, 10);
  await jest.advanceTimersByTimeAsync(5_000);
  progress.stop();
  expect(lines).toEqual([
    'uploaded 1 KiB, 10 files\n',
    'uploaded 1 KiB of 4 KiB, 30.0 s left, 10 of 40 files\n',
    'uploaded 1 KiB of 4 KiB, 45.0 s left, 10 of 40 files\n',
  ]);
  expect(counted).toBe(1);
});
