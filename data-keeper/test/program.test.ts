/** The version that the keeper tells is the package's; settings that make no sense are refused. */
import { expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { completeSettings, defaultSettings } from '../src/settings.js';
import { softwareVersion } from '../src/version.js';

it('the version is that of package.json', async () => {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  expect((JSON.parse(text) as { version: string }).version).toBe(softwareVersion);
});

it('settings are numbers that agree with one another', () => {
  expect(completeSettings()).toEqual(defaultSettings);
  expect(() => completeSettings({ maxReads: Number.NaN })).toThrow(/maxReads/);
  expect(() => completeSettings({ clientStallMs: 30_000 })).toThrow(/sourceStallMs/);
});
