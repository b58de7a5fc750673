/** Acknowledged means durable: everything is killed straight after an upload returned, and the file is there. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Cluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { run } from '../support/command.js';
import { sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cluster: Cluster;
let expectAsBefore: () => Promise<void>;

beforeAll(async () => {
  folder = await temporaryFolder();
  ({ cluster, expectAsBefore } = await startMeasuredCluster(3, join(folder.path, 'cluster')));
});

afterAll(async () => {
  await cluster.stop();
  await folder.remove();
});

it.each([1, 2, 3])(
  'kill -9 of every process straight after an upload loses nothing (round %d)',
  async (round) => {
    const source = join(folder.path, `source-${round}.bin`);
    const digest = await writeSeededFile(source, round * 40 * 1024 ** 2 + 1, round);
    const flags = ['--tracker', cluster.trackerAddress];
    const upload = await run('client', ['upload', source, `/file-${round}.bin`, ...flags]);
    const pids = [cluster.tracker, ...cluster.keepers].map((member) => member.pid);
    for (const pid of pids) process.kill(pid!, 'SIGKILL');
    expect({ status: upload.status, stderr: upload.stderr }).toMatchObject({ status: 0 });
    await cluster.killAll();
    await cluster.startAll();
    const target = join(folder.path, `back-${round}.bin`);
    const download = await run('client', ['download', `/file-${round}.bin`, target, ...flags]);
    expect({ status: download.status, stderr: download.stderr }).toMatchObject({ status: 0 });
    expect(await sha256Of(target)).toBe(digest);
  },
  600_000,
);

it('in the end the check finds nothing, and nobody holds more than before', () => expectAsBefore());
