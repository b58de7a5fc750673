/** Many who read share what memory there is for them, and each still gets every byte once and in order. */
import { describe, expect, it } from '@jest/globals';
import { limits } from '@holdfast/shared';
import { Pump, PumpMemory } from '../../src/read/pump.js';
import type { PieceReader } from '../../src/store/chunk-store.js';
import type { BlockRun, PieceSpec } from '../../src/store/piece.js';

const KiB = 1024;
const lengthBytes = 3 * 1024 * KiB + 5;

/** Gives runs of zeros, and counts the buffers that it was given. */
class CountingReader implements PieceReader {
  readonly spec: PieceSpec;
  readonly buffers = new Set<ArrayBufferLike>();

  constructor(blockSizeBytes: number) {
    this.spec = { chunkId: 'c', pieceIndex: 0, uploadId: 'u', lengthBytes, blockSizeBytes };
  }

  read(offsetBytes: number, endBytes: number, into: Buffer): Promise<BlockRun> {
    this.buffers.add(into.buffer);
    const { blockSizeBytes } = this.spec;
    expect(offsetBytes % blockSizeBytes).toBe(0);
    expect(endBytes === lengthBytes || endBytes % blockSizeBytes === 0).toBe(true);
    const bytes = Math.min(endBytes - offsetBytes, limits.messageDataBytes);
    const data = into.subarray(0, bytes);
    expect(data.length).toBe(bytes);
    return Promise.resolve({ offsetBytes, checksums: [], data } as unknown as BlockRun);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Lets `count` pumps run at once, each stopped at its second run until all are there. */
async function pumpAtOnce(count: number, memory: PumpMemory, blockSizeBytes = limits.blockSizeBytes) {
  const runs: number[][] = Array.from({ length: count }, () => []);
  const readers = runs.map(() => new CountingReader(blockSizeBytes));
  let allAreThere: () => void = () => undefined;
  const together = new Promise<void>((resolve) => (allAreThere = resolve));
  let there = 0;
  await Promise.all(
    readers.map((reader, index) => {
      const send = async ({ data }: BlockRun): Promise<void> => {
        runs[index]!.push(data.length);
        if (runs[index]!.length !== 2) return;
        there += 1;
        if (there === count) allAreThere();
        await together;
      };
      return new Pump(reader, send, memory).run(0, lengthBytes);
    }),
  );
  return { runs, readers };
}

describe('a pump', () => {
  it('sends whole messages where few are at work, from two buffers each, which the next ones use again', async () => {
    const memory = new PumpMemory(4 * 1024 * KiB);
    const buffers = new Set<ArrayBufferLike>();
    for (let round = 0; round < 3; round += 1) {
      const { runs, readers } = await pumpAtOnce(2, memory);
      for (const sent of runs) expect(sent).toEqual([1024 * KiB, 1024 * KiB, 1024 * KiB, 5]);
      for (const reader of readers) for (const buffer of reader.buffers) buffers.add(buffer);
    }
    expect(buffers.size).toBe(4);
  });

  it('keeps 8 MiB of buffers at most when nobody reads', async () => {
    const memory = new PumpMemory(64 * 1024 * KiB);
    const { readers } = await pumpAtOnce(32, memory);
    const used = new Set(readers.flatMap(({ buffers }) => [...buffers]));
    const again = Array.from({ length: 16 }, () => memory.take(1024 * KiB).buffer);
    expect(again.filter((buffer) => used.has(buffer))).toHaveLength(8);
  });

  it('never uses a buffer again whose sending failed', async () => {
    const memory = new PumpMemory(4 * 1024 * KiB);
    const sent: ArrayBufferLike[] = [];
    const failing = new Pump(
      new CountingReader(limits.blockSizeBytes),
      ({ data }) => {
        sent.push((data as Buffer).buffer);
        return Promise.reject(new Error('gone'));
      },
      memory,
    );
    await expect(failing.run(0, lengthBytes)).rejects.toThrow('gone');
    const { readers } = await pumpAtOnce(2, memory);
    expect(sent).toHaveLength(1);
    for (const { buffers } of readers) expect([...buffers]).not.toContain(sent[0]);
  });

  it('sends its share of the memory where many are, and every byte once', async () => {
    const { runs } = await pumpAtOnce(16, new PumpMemory(4 * 1024 * KiB));
    for (const sent of runs) {
      expect(sent.reduce((sum, bytes) => sum + bytes, 0)).toBe(lengthBytes);
      // All have begun when the third run is read; the two before it were read while there were fewer.
      expect(Math.max(...sent.slice(3))).toBe(128 * KiB);
    }
  });

  it('sends a block at least, however little there is', async () => {
    const { runs, readers } = await pumpAtOnce(4, new PumpMemory(64 * KiB), 256 * KiB);
    expect(new Set(readers.flatMap(({ buffers }) => [...buffers])).size).toBeLessThanOrEqual(8);
    for (const sent of runs) expect(new Set(sent.slice(2, -1))).toEqual(new Set([256 * KiB]));
  });

  it('has whole messages again when the others are gone', async () => {
    const memory = new PumpMemory(4 * 1024 * KiB);
    await pumpAtOnce(16, memory);
    const { runs } = await pumpAtOnce(1, memory);
    expect(runs[0]![0]).toBe(1024 * KiB);
  });

  it('gives its share back when it fails', async () => {
    const memory = new PumpMemory(2 * 1024 * KiB);
    const failing = new Pump(
      new CountingReader(limits.blockSizeBytes),
      () => Promise.reject(new Error('gone')),
      memory,
    );
    await expect(failing.run(0, lengthBytes)).rejects.toThrow('gone');
    expect(memory.runBytes).toBe(1024 * KiB);
  });
});
