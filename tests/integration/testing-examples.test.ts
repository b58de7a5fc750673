/** What examples/testing shows other projects has to work as it stands; its Jest file runs among our own tests. */
import { expect, it } from '@jest/globals';
import { join } from 'node:path';
import { repository } from '../support/command.js';
import { outcomeOf } from '../support/languages.js';

it('the example for node:test passes, and ends by itself: no handle is left open', async () => {
  const file = join(repository, 'examples/testing/node-test.test.mjs');
  const { status, stdout } = await outcomeOf([process.execPath, '--test', '--test-reporter=tap', file]);
  expect(stdout).toMatch(/^# pass 3$/m);
  expect(status).toBe(0);
});
