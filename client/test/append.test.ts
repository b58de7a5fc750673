/** Appends against a tracker that shows another version each time it is asked. */
import { describe, expect, it } from '@jest/globals';
import { HoldfastError } from '@holdfast/shared';
import { type AppendOptions, append } from '../src/upload/append.js';
import { bytesSource } from '../src/upload/bytes-source.js';
import { FakeCluster } from './support/fake-cluster.js';

const more = Buffer.from(' and more');

function appendTo(cluster: FakeCluster, options: AppendOptions = {}) {
  return append(cluster.context(), bytesSource(more), '/file', options);
}

/** Somebody else stores a version before each commit of ours, `times` times. */
function replaced(times: number): FakeCluster {
  const cluster = new FakeCluster();
  cluster.put('/file', Buffer.from('version 0'));
  let version = 0;
  cluster.before = (name) => {
    if (name === 'commitUpload' && version < times) {
      cluster.put('/file', Buffer.from(`version ${(version += 1)}`));
    }
  };
  return cluster;
}

describe('an append', () => {
  it('goes on from what others made, and sends its bytes once', async () => {
    const cluster = replaced(5);
    const result = await appendTo(cluster);
    expect(cluster.content('/file')?.toString()).toBe('version 5 and more');
    expect(result).toMatchObject({ sizeBytes: 18, copies: { wanted: 3 } });
    expect(cluster.calls.filter((call) => call.startsWith('write'))).toHaveLength(1);
    expect(cluster.called('beginUpload')).toBe(1);
    expect(cluster.called('commitUpload')).toBe(6);
  });

  it('gives up in the end, and gives its session up', async () => {
    const cluster = replaced(Infinity);
    await expect(appendTo(cluster)).rejects.toMatchObject({ code: 'VERSION_CONFLICT' });
    expect([...cluster.sessions.values()].map(({ state }) => state)).toEqual(['aborted']);
    expect(cluster.called('commitUpload')).toBeGreaterThan(60);
    expect(cluster.content('/file')?.toString()).toMatch(/^version \d+$/);
  });

  it('does not go on from another version than it was told', async () => {
    const cluster = replaced(1);
    const { version } = await cluster.tracker.getEntry('/file');
    await expect(appendTo(cluster, { expectedVersion: version })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    });
    expect(cluster.called('commitUpload')).toBe(1);
    expect(cluster.content('/file')?.toString()).toBe('version 1');
  });

  it('makes a file that goes away meanwhile, if it may', async () => {
    const gone = (): FakeCluster => {
      const cluster = replaced(0);
      cluster.before = (name) => {
        if (name === 'commitUpload') cluster.paths.delete('/file');
      };
      return cluster;
    };
    const cluster = gone();
    await appendTo(cluster);
    expect(cluster.content('/file')).toEqual(more);
    await expect(appendTo(gone(), { create: false })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is not repeated when it may have happened under an answer that was lost', async () => {
    const cluster = replaced(0);
    let lost = 0;
    cluster.after = (name) => {
      if (name === 'commitUpload' && (lost += 1) <= 2) throw new HoldfastError('UNAVAILABLE', 'it broke');
    };
    await appendTo(cluster);
    expect(cluster.content('/file')?.toString()).toBe('version 0 and more');
  });
});
