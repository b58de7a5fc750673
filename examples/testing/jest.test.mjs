// With Jest:  node --experimental-vm-modules node_modules/jest/bin/jest.js examples/testing
// (ES modules in Jest need that flag; leave out the first line below where globals are injected).
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startCluster } from '@holdfast/local-cluster';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PhotoAlbum } from './photo-album.mjs';

const photo = Buffer.from('a photo');
let cluster;
let outbox;
let album;

beforeAll(async () => {
  cluster = await startCluster({ keepers: 3, faults: true });
  outbox = await mkdtemp(join(tmpdir(), 'album-'));
  album = new PhotoAlbum(await cluster.connect(), outbox);
});

afterAll(async () => {
  await cluster.stop();
  await rm(outbox, { recursive: true });
});

test('a keeper that is slow and one that is full keep no photo from being stored', async () => {
  const slow = await cluster.keepers[0].fault('slow', { delayMs: 100 });
  const full = await cluster.keepers[1].fault('full');
  const patient = new PhotoAlbum(await cluster.connect(), outbox, 60_000);
  expect(await patient.add('one.jpg', photo)).toBe('stored');
  expect(await album.photo('one.jpg')).toEqual(photo);
  await slow.end();
  await full.end();
});

test('photos wait while two of three keepers are down, and are stored when they are back', async () => {
  const faults = [await cluster.keepers[0].fault('kill'), await cluster.keepers[1].fault('kill')];
  expect(await album.add('two.jpg', photo)).toBe('later');
  expect(await album.photo('two.jpg')).toEqual(photo);
  for (const fault of faults) await fault.end();
  while ((await album.flush()) > 0);
  expect(await album.photo('two.jpg')).toEqual(photo);
});
