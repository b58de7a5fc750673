/**
 * A Blob, or a File, as a source: its length is known and it can be read again, so nothing is kept for a retry. One
 * message's worth is read at a time, wherever its bytes are.
 */
import { HoldfastError, limits } from '@holdfast/shared';
import type { ChunkSource, SourceChunk } from './chunk-source.js';

export function blobSource(blob: Blob): ChunkSource {
  let position = 0;
  return {
    sizeBytes: blob.size,
    attributes: modifiedAt(blob),
    async next(maxBytes) {
      if (position >= blob.size) return undefined;
      const chunk = chunkOf(blob, position, Math.min(maxBytes, blob.size - position));
      position += chunk.lengthBytes;
      return chunk;
    },
    // A read of one that lies over a file fails when that has changed.
    checkUnchanged: async () => undefined,
    close: async () => undefined,
  };
}

function chunkOf(blob: Blob, fileOffset: number, lengthBytes: number): SourceChunk {
  const end = fileOffset + lengthBytes;
  return {
    fileOffset,
    lengthBytes,
    async *runs() {
      for (let at = fileOffset; at < end; at += limits.messageDataBytes) {
        yield await bytesOf(blob.slice(at, Math.min(end, at + limits.messageDataBytes)));
      }
    },
    release: () => undefined,
  };
}

async function bytesOf(part: Blob): Promise<Uint8Array> {
  let bytes: ArrayBuffer;
  try {
    bytes = await part.arrayBuffer();
  } catch (cause) {
    throw unreadable(cause);
  }
  if (bytes.byteLength !== part.size) throw unreadable(undefined);
  return new Uint8Array(bytes);
}

function unreadable(cause: unknown): HoldfastError {
  return new HoldfastError('SOURCE_CHANGED', 'the Blob can no longer be read', {
    remedy: 'Nothing was stored. If it lies over a file, that changed: open it again.',
    cause,
  });
}

/** A File says when it was changed. */
function modifiedAt(blob: Blob): { modifiedAtUnixMs?: number } {
  const lastModified = 'lastModified' in blob ? blob.lastModified : undefined;
  return typeof lastModified === 'number' ? { modifiedAtUnixMs: lastModified } : {};
}
