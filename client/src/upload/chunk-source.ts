/**
 * Where an upload's bytes come from, chunk by chunk. Two kinds of source differ in what a retry costs: a file
 * or a byte array is read again, a stream has to be kept until the chunk is safe. Above this interface nobody
 * needs to know.
 */
import type { FileAttributes } from '../ports/tracker-api.js';

/** One chunk's worth of the source. */
export interface SourceChunk {
  readonly fileOffset: number;
  readonly lengthBytes: number;
  /**
   * The bytes from the first to the last, in runs of limits.messageDataBytes (the last may be shorter). May be
   * called again for another attempt. A run's memory is good until `runsInFlight` further runs have been asked
   * for.
   *
   * @throws HoldfastError SOURCE_CHANGED if they are no longer there
   */
  runs(): AsyncIterable<Uint8Array>;
  /** Gives the memory back. Called once, when no attempt will follow. */
  release(): void;
}

export interface ChunkSource {
  /** The length in bytes; undefined for a stream. */
  readonly sizeBytes: number | undefined;
  /** What to tell the tracker about the file. */
  readonly attributes: FileAttributes;
  /** Names this very state of what is read: equal ones have equal bytes. Only of what can be read again later. */
  readonly identity?: { readonly path: string; readonly state: string };
  /** Leaves the next `lengthBytes` out; of every source that has an identity. */
  skip?(lengthBytes: number): void;
  /** The next chunk, of at most `maxBytes` and shorter only at the end; undefined after the last. */
  next(maxBytes: number, signal: AbortSignal): Promise<SourceChunk | undefined>;
  /**
   * Instead of `next`, for a source that is small: reads all of it into `target`, which has its length. Absent where
   * the length is not known.
   *
   * @throws HoldfastError SOURCE_CHANGED if it has other bytes by now
   */
  readWhole?(target: Uint8Array): Promise<void>;
  /**
   * Called after the last byte was sent and before the commit.
   *
   * @throws HoldfastError SOURCE_CHANGED if what was sent may be a mixture of two states
   */
  checkUnchanged(): Promise<void>;
  /** Lets go of files and streams. Called once, always. */
  close(): Promise<void>;
}
