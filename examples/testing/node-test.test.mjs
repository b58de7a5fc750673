// With node:test, which comes with Node:  node --test examples/testing/node-test.test.mjs
import { startCluster } from '@holdfast/local-cluster';
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PhotoAlbum } from './photo-album.mjs';

const photo = Buffer.from('a photo');

describe('the photo album', () => {
  let cluster;
  let outbox;
  let album;

  before(async () => {
    cluster = await startCluster({ keepers: 3, faults: true });
    outbox = await mkdtemp(join(tmpdir(), 'album-'));
    album = new PhotoAlbum(await cluster.connect(), outbox);
  });

  after(async () => {
    await cluster.stop();
    await rm(outbox, { recursive: true });
  });

  it('shows a photo of which one copy is damaged, and none of which all are', async () => {
    const patient = new PhotoAlbum(await cluster.connect(), outbox, 60_000);
    await patient.add('one.jpg', photo);
    await cluster.keepers[0].fault('corrupt');
    assert.deepEqual(await album.photo('one.jpg'), photo);
    await patient.add('two.jpg', photo);
    // All at once: what is found in time is mended from the other copies.
    await Promise.all(cluster.keepers.map((keeper) => keeper.fault('corrupt')));
    await assert.rejects(album.photo('two.jpg'), { code: 'DATA_LOSS' });
  });

  it('does not notice that a keeper dies', async () => {
    const patient = new PhotoAlbum(await cluster.connect(), outbox, 60_000);
    assert.equal(await patient.add('three.jpg', photo), 'stored');
    const fault = await cluster.keepers[0].fault('kill');
    assert.deepEqual(await album.photo('three.jpg'), photo);
    assert.equal(await patient.add('four.jpg', photo), 'stored');
    await fault.end();
  });

  it('keeps photos while the tracker is cut off, and stores them afterwards', async () => {
    const fault = await cluster.tracker.fault('partition');
    assert.equal(await album.add('five.jpg', photo), 'later');
    assert.deepEqual(await album.photo('five.jpg'), photo);
    await fault.end();
    while ((await album.flush()) > 0);
    assert.deepEqual(await album.photo('five.jpg'), photo);
  });
});
