import { expect, it } from '@jest/globals';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { firstOf, heard } from '../src/core/signals.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('a timeout that only the call has comes, whatever is collected meanwhile', async () => {
  const { signal } = heard({ signal: AbortSignal.timeout(200) });
  const inner = firstOf(signal, new AbortController().signal);
  const aborted = once(inner, 'abort');
  for (let round = 0; round < 5; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collectGarbage();
  }
  // The timeout's own timer does not keep the process.
  const patience = setTimeout(() => undefined, 60_000);
  await aborted;
  clearTimeout(patience);
  expect(inner.reason).toMatchObject({ name: 'TimeoutError' });
});
