/** Bytes in memory as a source: nothing is copied, nothing is counted against the budget. */
import { limits } from '@holdfast/shared';
import type { ChunkSource, SourceChunk } from './chunk-source.js';

export function bytesSource(bytes: Uint8Array): ChunkSource {
  let position = 0;
  return {
    sizeBytes: bytes.length,
    attributes: {},
    async next(maxBytes) {
      if (position >= bytes.length) return undefined;
      const chunk = chunkOf(bytes.subarray(position, position + maxBytes), position);
      position += chunk.lengthBytes;
      return chunk;
    },
    async readWhole(target) {
      target.set(bytes);
    },
    // The caller's promise: it does not change the array meanwhile.
    checkUnchanged: async () => undefined,
    close: async () => undefined,
  };
}

function chunkOf(data: Uint8Array, fileOffset: number): SourceChunk {
  return {
    fileOffset,
    lengthBytes: data.length,
    async *runs() {
      const step = limits.messageDataBytes;
      for (let at = 0; at < data.length; at += step) yield data.subarray(at, at + step);
    },
    release: () => undefined,
  };
}
