/** What the tests of whole keepers start from: everything has a default, so what a test writes matters to it. */
import type { WriteChunkHeader } from '@holdfast/proto';
import { type KeeperEndpoint, blockChecksums, limits, newId } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DataKeeper, type DataKeeperOptions, startDataKeeper } from '../../src/index.js';
import type { KeeperSettings } from '../../src/settings.js';
import { FakeTracker } from './fake-tracker.js';
import { TestClient } from './test-client.js';

export const MiB = 1024 * 1024;

/**
 * Longer than a machine stands still. A test that waits for one of these to be over sets it itself, for a keeper of which
 * nothing else is asked, or sets the keeper's clock ahead.
 */
export const patientSettings = {
  ...{ heartbeatDeadlineMs: 60_000, controlDeadlineMs: 60_000, diskStallMs: 60_000, followerStallMs: 60_000 },
  ...{ clientStallMs: 60_000, sourceStallMs: 61_000, finishMs: 60_000, stopGraceMs: 60_000 },
} satisfies Partial<KeeperSettings>;

/** Deterministic bytes: AES would be overkill, and zeros hide misplaced blocks. */
export function bytesOf(length: number, seed = 1): Buffer {
  const data = Buffer.alloc(length);
  let state = seed >>> 0 || 1;
  for (let offset = 0; offset + 4 <= length; offset += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data.writeUInt32LE(state, offset);
  }
  return data;
}

/** The digest by the letter of the contract. */
export function digestOf(data: Buffer): Buffer {
  const hash = createHash('sha256');
  for (const checksum of blockChecksums(data)) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(checksum);
    hash.update(bytes);
  }
  return hash.digest();
}

/** Resolves when `condition` holds. The test's own timeout is the bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2));
}

export class TestCluster {
  readonly tracker: FakeTracker;
  readonly keepers: DataKeeper[] = [];
  readonly #clients: TestClient[] = [];
  readonly #directory: string;

  private constructor(tracker: FakeTracker, directory: string) {
    this.tracker = tracker;
    this.#directory = directory;
  }

  static async start(keepers = 1, options: Partial<DataKeeperOptions> = {}): Promise<TestCluster> {
    const tracker = await new FakeTracker().start();
    const cluster = new TestCluster(tracker, await mkdtemp(join(tmpdir(), 'holdfast-keeper-')));
    for (let i = 0; i < keepers; i += 1) await cluster.add(options);
    return cluster;
  }

  async add(options: Partial<DataKeeperOptions> = {}): Promise<DataKeeper> {
    const keeper = await startDataKeeper({
      dataDir: join(this.#directory, `keeper-${this.keepers.length}`),
      listen: '127.0.0.1:0',
      tracker: this.tracker.address,
      ...options,
      settings: { ...patientSettings, ...options.settings },
    });
    this.keepers.push(keeper);
    return keeper;
  }

  keeper(index = 0): DataKeeper {
    const keeper = this.keepers[index];
    if (!keeper) throw new Error(`there is no keeper ${index}`);
    return keeper;
  }

  client(index = 0): TestClient {
    const client = new TestClient(this.keeper(index).address);
    this.#clients.push(client);
    return client;
  }

  endpoint(index: number): KeeperEndpoint {
    const { keeperId, address } = this.keeper(index);
    return { keeperId, address, zone: '' };
  }

  /** A header for a new chunk, with its token. */
  header(
    length: number,
    followers: readonly number[] = [],
    wish: { chunkId?: string; uploadId?: string } = {},
  ): WriteChunkHeader & { chunkId: string; uploadId: string } {
    const { chunkId = newId(systemRandom), uploadId = newId(systemRandom) } = wish;
    return {
      chunkId,
      uploadId,
      length,
      blockSizeBytes: limits.blockSizeBytes,
      pieceIndex: 0,
      followers: followers.map((index) => ({ ...this.endpoint(index) })),
      writeToken: this.tracker.writeToken(chunkId, uploadId),
    };
  }

  readRequest(chunkId: string, offset = 0, length = 0): Parameters<TestClient['read']>[0] {
    return { chunkId, pieceIndex: 0, offset, length, readToken: this.tracker.readToken(chunkId) };
  }

  pathOf(index: number, chunkId: string): string {
    return join(this.keeper(index).dataDir, 'chunks', chunkId.slice(0, 2), `${chunkId}.0`);
  }

  /** The names in tmp/ of a keeper. */
  temporary(index = 0): Promise<string[]> {
    return readdir(join(this.keeper(index).dataDir, 'tmp'));
  }

  async end(): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all(this.keepers.map((keeper) => keeper.kill()));
    this.tracker.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
