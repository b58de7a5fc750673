/** A chunk store on any file system, with a clock and a cluster of its own; and pieces to put into it. */
import {
  type Clock,
  type FileSystem,
  blockChecksums,
  joinBytes,
  limits,
  makeDataDirectory,
  newId,
} from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import type { ChunkStore } from '../../src/store/chunk-store.js';
import { DiskChunkStore } from '../../src/store/disk-chunk-store.js';
import { StorageHealth } from '../../src/store/disk-error.js';
import type { BlockRun, PieceSpec, StoredPiece } from '../../src/store/piece.js';
import { StorageIdentity } from '../../src/store/storage-identity.js';
import { ManualClock } from './manual-clock.js';

const testClusterId = 'c1'.repeat(16);

export interface StoreWish {
  readonly clock?: Clock;
  readonly capacityBytes?: number;
  readonly trashTtlMs?: number;
}

/**
 * Opens (makes and formats) a data directory and its store, as a member of testClusterId. Time stands still there unless
 * the test says otherwise, so that it asks the disk nothing anew only because the machine was slow.
 */
export async function openStore(
  fileSystem: FileSystem,
  dataDir: string,
  { clock = new ManualClock(), capacityBytes = Infinity, trashTtlMs = 1_000 }: StoreWish = {},
): Promise<DiskChunkStore> {
  const health = new StorageHealth();
  await makeDataDirectory(fileSystem, dataDir);
  const identity = await StorageIdentity.open(fileSystem, dataDir, systemRandom, health);
  if (identity.clusterId === '') await identity.join(testClusterId);
  return DiskChunkStore.open({
    ...{ fileSystem, clock, random: systemRandom, health, dataDir, capacityBytes, trashTtlMs },
    clusterId: () => identity.clusterId,
  });
}

export function specOf(data: Buffer, wish: Partial<PieceSpec> = {}): PieceSpec {
  return {
    chunkId: newId(systemRandom),
    uploadId: newId(systemRandom),
    pieceIndex: 0,
    lengthBytes: data.length,
    blockSizeBytes: 4096,
    ...wish,
  };
}

export function runsOf(
  data: Buffer,
  blockSizeBytes = 4096,
  runBytes: number = limits.messageDataBytes,
): BlockRun[] {
  const runs: BlockRun[] = [];
  for (let offset = 0; offset < data.length; offset += runBytes) {
    const part = data.subarray(offset, offset + runBytes);
    runs.push({ offsetBytes: offset, checksums: blockChecksums(part, blockSizeBytes), data: part });
  }
  return runs;
}

/** Writes a whole piece; a failure is aborted and thrown. */
export async function store(chunks: ChunkStore, spec: PieceSpec, data: Buffer): Promise<StoredPiece> {
  const writer = await chunks.begin(spec);
  try {
    // Several runs, also of a small piece.
    const runBytes = data.length > limits.messageDataBytes ? limits.messageDataBytes : 8192;
    for (const run of runsOf(data, spec.blockSizeBytes, runBytes)) await writer.append(run);
    writer.seal();
    return await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** All bytes of a stored piece, verified. */
export async function load(
  chunks: ChunkStore,
  spec: Pick<PieceSpec, 'chunkId' | 'pieceIndex'>,
): Promise<Buffer> {
  const reader = await chunks.open(spec);
  try {
    const parts: Buffer[] = [];
    for (let offset = 0; offset < reader.spec.lengthBytes;) {
      const { data } = await reader.read(offset, reader.spec.lengthBytes);
      parts.push(joinBytes(data));
      offset += data.length;
    }
    return Buffer.concat(parts);
  } finally {
    await reader.close();
  }
}
