/** Keepers tell again what they have: what was lost without a word is found, and nothing else is thought lost. */
import { expect, it } from '@jest/globals';
import { startCluster } from '@holdfast/local-cluster';
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { seededBytes } from '../support/files.js';
import { waitForCopies } from '../support/quick-cluster.js';
import { waitFor } from '../support/wait.js';

const chunk = 64 * 1024;

it('a piece that vanished from a running keeper is found missing and made anew', async () => {
  const cluster = await startCluster({
    keepers: 3,
    trackerSettings: { heartbeatIntervalMs: 100, repairTickMs: 100, reportIntervalMs: 500 },
  });
  try {
    const client = await cluster.connect();
    await client.upload(seededBytes(1, 8 * chunk), '/file', { chunkSizeBytes: chunk });
    await waitForCopies(client, '/file', 3);
    const chunks = join(cluster.keepers[0]!.dataDir, 'chunks');
    const pieces = async (): Promise<string[]> =>
      (await readdir(chunks, { recursive: true, withFileTypes: true }))
        .filter((each) => each.isFile())
        .map((each) => join(each.parentPath, each.name));
    const [vanishing = '', ...others] = await pieces();
    expect(others).toHaveLength(7);
    await unlink(vanishing);
    await waitFor('the piece to be there again', async () => (await pieces()).includes(vanishing));
    await waitFor('all copies to count', async () => (await client.status()).chunksBelowPolicy === 0);
  } finally {
    await cluster.stop();
  }
});
