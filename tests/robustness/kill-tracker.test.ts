/** The tracker dies while a file goes up and is back within 20 s: the upload ends 0 and the file is whole. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Cluster } from '@holdfast/local-cluster';
import { join } from 'node:path';
import { type RunningCommand, run, start } from '../support/command.js';
import { sha256Of, temporaryFolder, writeSeededFile } from '../support/files.js';
import { startMeasuredCluster } from '../support/measured-cluster.js';
import { waitFor } from '../support/wait.js';

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

it('an upload rides out kill -9 of the tracker', async () => {
  const source = join(folder.path, 'source.bin');
  const digest = await writeSeededFile(source, 400 * 1024 ** 2, 4);
  const flags = ['--tracker', cluster.trackerAddress];
  const observer = await cluster.connect();
  const usedBytes = async (): Promise<number> => {
    const { keepers } = await observer.status();
    return keepers.reduce((sum, keeper) => sum + keeper.usedBytes, 0);
  };
  /** Begins an upload, and kills the tracker when a part of it is stored. */
  const startAndKill = async (): Promise<RunningCommand> => {
    const words = ['upload', source, '/file.bin', '--force', '--chunk-size', '4MiB', ...flags];
    const running = start('client', words);
    const before = await usedBytes();
    await waitFor('a part of the file to be stored', async () => {
      return running.child.exitCode !== null || (await usedBytes()) > before + 100 * 1024 ** 2;
    });
    await cluster.tracker.kill();
    return running;
  };
  let upload = await startAndKill();
  // This process may have stood still, and the upload be over: then once more.
  for (let turn = 0; upload.child.exitCode === 0 && turn < 5; turn += 1) {
    await cluster.tracker.start();
    upload = await startAndKill();
  }
  // Not a wait for a condition: the outage itself is what is tested, so long that calls fail meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  expect(upload.child.exitCode).toBeNull();
  await cluster.tracker.start();
  const result = await upload.finished;
  expect({ status: result.status, stderr: result.stderr }).toMatchObject({ status: 0 });
  const target = join(folder.path, 'back.bin');
  expect(await run('client', ['download', '/file.bin', target, ...flags])).toMatchObject({ status: 0 });
  expect(await sha256Of(target)).toBe(digest);
});

it('in the end the check finds nothing, and nobody holds more than before', () => expectAsBefore());
