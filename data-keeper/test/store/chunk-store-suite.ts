/** What every ChunkStore must do, whatever it keeps its pieces on. */
import { describe, expect, it } from '@jest/globals';
import { joinBytes } from '@holdfast/shared';
import type { ChunkStore } from '../../src/store/chunk-store.js';
import { bytesOf } from '../support/fixtures.js';
import { load, runsOf, specOf, store } from '../support/store-fixture.js';

/** @param factory makes an empty store that has room for a few MiB */
export function chunkStoreSuite(name: string, factory: () => Promise<ChunkStore>): void {
  describe(`chunk store: ${name}`, () => {
    it.each([1, 4095, 4096, 4097, 100_000])('gives back the %i bytes that it got', async (length) => {
      const chunks = await factory();
      const data = bytesOf(length, length);
      const spec = specOf(data);
      const piece = await store(chunks, spec, data);
      expect(piece).toMatchObject(spec);
      expect((await load(chunks, spec)).equals(data)).toBe(true);
      expect(await chunks.stat(spec)).toEqual(piece);
    });

    it('reads from any block on, as far as it is told', async () => {
      const chunks = await factory();
      const data = bytesOf(20_000);
      const spec = specOf(data);
      await store(chunks, spec, data);
      const reader = await chunks.open(spec);
      const run = await reader.read(8192, 16_384);
      const tail = await reader.read(16_384, 20_000);
      await reader.close();
      expect(run.checksums).toHaveLength(2);
      expect(joinBytes(run.data).equals(data.subarray(8192, 16_384))).toBe(true);
      expect(joinBytes(tail.data).equals(data.subarray(16_384))).toBe(true);
    });

    it('has nothing before the commit, and nothing after an abort', async () => {
      const chunks = await factory();
      const data = bytesOf(5_000);
      const spec = specOf(data);
      const writer = await chunks.begin(spec);
      for (const run of runsOf(data)) await writer.append(run);
      expect(await chunks.stat(spec)).toBeUndefined();
      await writer.abort();
      await expect(chunks.open(spec)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await store(chunks, spec, data);
      expect((await load(chunks, spec)).equals(data)).toBe(true);
    });

    it('lets a follower read what is written, also after the commit', async () => {
      const chunks = await factory();
      const data = bytesOf(20_000);
      const spec = specOf(data);
      const writer = await chunks.begin(spec);
      const follower = writer.follow();
      const [first, ...rest] = runsOf(data, 4096, 8192);
      if (first) await writer.append(first);
      expect(writer.writtenBytes).toBe(8192);
      expect(
        joinBytes((await follower.read(0, writer.writtenBytes)).data).equals(data.subarray(0, 8192)),
      ).toBe(true);
      for (const run of rest) await writer.append(run);
      writer.seal();
      await writer.commit();
      expect(joinBytes((await follower.read(8192, 20_000)).data).equals(data.subarray(8192))).toBe(true);
      await follower.close();
    });

    const data = bytesOf(10_000);
    const [run] = runsOf(data);
    if (!run) throw new Error('the data is one run');
    it.each([
      ['a gap', { ...run, offsetBytes: 4096 }],
      ['an offset between blocks', { ...run, offsetBytes: 1 }],
      ['no bytes', { ...run, data: Buffer.alloc(0), checksums: [] }],
      ['too many bytes', { ...run, data: bytesOf(12_288), checksums: [1, 2, 3] }],
      ['half a block', { ...run, data: data.subarray(0, 5000), checksums: [1, 2] }],
      ['a checksum too few', { ...run, checksums: run.checksums.slice(1) }],
      ['a checksum too many', { ...run, checksums: [...run.checksums, 1] }],
      ['a wrong checksum', { ...run, checksums: run.checksums.map((sum) => sum ^ 1) }],
    ])('refuses %s and writes none of it', async (what, bad) => {
      const chunks = await factory();
      const writer = await chunks.begin(specOf(data));
      const code = what === 'a wrong checksum' ? 'CHECKSUM_MISMATCH' : 'INVALID_ARGUMENT';
      await expect(writer.append(bad)).rejects.toMatchObject({ code });
      expect(writer.writtenBytes).toBe(0);
      await writer.abort();
    });

    it('does not seal a piece that is not whole, or not the expected one', async () => {
      const chunks = await factory();
      const writer = await chunks.begin(specOf(data));
      expect(() => writer.seal()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
      await writer.append(run);
      expect(() => writer.seal(Buffer.alloc(32))).toThrow(
        expect.objectContaining({ code: 'CHECKSUM_MISMATCH' }),
      );
      await writer.abort();
    });

    it('takes the same bytes again, and no others, under one id', async () => {
      const chunks = await factory();
      const spec = specOf(data);
      const first = await store(chunks, spec, data);
      expect(await store(chunks, spec, data)).toEqual(first);
      await expect(store(chunks, spec, bytesOf(10_000, 9))).rejects.toMatchObject({
        code: 'VERSION_CONFLICT',
      });
      expect((await load(chunks, spec)).equals(data)).toBe(true);
    });

    it('refuses a second writer of a piece while the first one writes', async () => {
      const chunks = await factory();
      const spec = specOf(data);
      const writer = await chunks.begin(spec);
      await expect(chunks.begin(spec)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
      await writer.abort();
      await store(chunks, spec, data);
    });

    it('lists every piece in order of chunk id', async () => {
      const chunks = await factory();
      const ids = ['ff', '00', '7a', '0b', '01'].map((start) => start.padEnd(32, '5'));
      for (const chunkId of ids) await store(chunks, specOf(data, { chunkId }), data);
      const listed: string[] = [];
      for await (const { chunkId } of chunks.list()) listed.push(chunkId);
      expect(listed).toEqual([...ids].sort());
    });

    it('moves pieces to the trash and to quarantine, again and again without harm', async () => {
      const chunks = await factory();
      const [a, b] = [specOf(data), specOf(data)];
      await store(chunks, a, data);
      await store(chunks, b, data);
      await chunks.trash([a.chunkId, 'e'.repeat(32)]);
      await chunks.trash([a.chunkId]);
      await chunks.quarantine(b);
      await chunks.quarantine(b);
      expect(await chunks.stat(a)).toBeUndefined();
      expect(await chunks.stat(b)).toBeUndefined();
    });

    it('counts what it uses, the trash included', async () => {
      const chunks = await factory();
      const before = await chunks.capacity();
      const spec = specOf(data);
      await store(chunks, spec, data);
      const { usedBytes } = await chunks.capacity();
      expect(usedBytes - before.usedBytes).toBeGreaterThan(data.length);
      await chunks.trash([spec.chunkId]);
      expect((await chunks.capacity()).usedBytes).toBe(usedBytes);
    });
  });
}
