/**
 * A stream as a source. A stream cannot be read twice, so each chunk is kept until keepers hold it; how many
 * chunks that may be is the memory share's to say. What arrives is copied at once: producers reuse buffers.
 */
import { Readable } from 'node:stream';
import { HoldfastError, errnoOf, fromErrno, limits, throwIfCancelled } from '@holdfast/shared';
import type { MemoryShare } from '../core/memory-share.js';
import { orAborted } from '../core/signals.js';
import type { ChunkSource, SourceChunk } from './chunk-source.js';

export function streamSource(stream: AsyncIterable<unknown>, memory: MemoryShare): ChunkSource {
  return new StreamSource(stream, memory);
}

class StreamSource implements ChunkSource {
  readonly sizeBytes = undefined;
  readonly attributes = {};
  readonly #stream: AsyncIterable<unknown>;
  readonly #items: AsyncIterator<unknown>;
  readonly #memory: MemoryShare;
  #left: Uint8Array = new Uint8Array(0);
  #position = 0;
  #ended = false;

  constructor(stream: AsyncIterable<unknown>, memory: MemoryShare) {
    this.#stream = stream;
    this.#items = iterationOf(stream);
    // A Readable may fail before its first bytes are asked for, and whoever asks then is told; without a listener
    // it would end the process.
    if (stream instanceof Readable) stream.on('error', () => undefined);
    this.#memory = memory;
  }

  async next(maxBytes: number, signal: AbortSignal): Promise<SourceChunk | undefined> {
    if (this.#ended && this.#left.length === 0) return undefined;
    const release = await this.#memory.take(maxBytes, signal);
    try {
      const parts = await this.#fill(maxBytes, signal);
      const lengthBytes = parts.reduce((sum, part) => sum + part.length, 0);
      if (lengthBytes === 0) {
        release();
        return undefined;
      }
      const fileOffset = this.#position;
      this.#position += lengthBytes;
      return {
        fileOffset,
        lengthBytes,
        async *runs() {
          yield* parts;
        },
        release,
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  checkUnchanged(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    // A producer that waits for somebody must not keep the upload from ending.
    void Promise.resolve(this.#items.return?.()).catch(() => undefined);
    // An iteration that was never begun does not end its stream.
    if (this.#stream instanceof Readable) this.#stream.destroy();
  }

  /** Up to `maxBytes` in buffers of one message each. */
  async #fill(maxBytes: number, signal: AbortSignal): Promise<Uint8Array[]> {
    const parts: Uint8Array[] = [];
    let buffer = Buffer.alloc(0);
    let filled = 0;
    let total = 0;
    while (total < maxBytes) {
      if (this.#left.length === 0 && !(await this.#pull(signal))) break;
      if (filled === buffer.length) {
        buffer = Buffer.allocUnsafeSlow(Math.min(limits.messageDataBytes, maxBytes - total));
        parts.push(buffer);
        filled = 0;
      }
      const room = buffer.length - filled;
      const taken = this.#left.subarray(0, room);
      buffer.set(taken, filled);
      filled += taken.length;
      total += taken.length;
      this.#left = this.#left.subarray(taken.length);
    }
    const last = parts.pop();
    return last ? [...parts, last.subarray(0, filled)] : [];
  }

  /** Gets the next bytes into #left; false at the end. */
  async #pull(signal: AbortSignal): Promise<boolean> {
    while (!this.#ended) {
      throwIfCancelled(signal);
      const item = await this.#nextItem(signal);
      if (item.done === true) this.#ended = true;
      else this.#left = bytesOf(item.value);
      if (this.#left.length > 0) return true;
    }
    return false;
  }

  /** The producer's next item, or the abort: a silent producer does not hear of it. */
  async #nextItem(signal: AbortSignal): Promise<IteratorResult<unknown>> {
    try {
      return await orAborted(this.#items.next(), signal);
    } catch (error) {
      throw errnoOf(error) === undefined ? error : fromErrno(error, 'cannot read the source');
    }
  }
}

/** A Web Stream that somebody reads already cannot be read. */
function iterationOf(stream: AsyncIterable<unknown>): AsyncIterator<unknown> {
  try {
    return stream[Symbol.asyncIterator]();
  } catch (cause) {
    throw new HoldfastError('INVALID_ARGUMENT', 'the stream cannot be read: is somebody else reading it?', {
      cause,
    });
  }
}

/** An item of a stream. @throws HoldfastError INVALID_ARGUMENT for what is not bytes */
export function bytesOf(item: unknown): Uint8Array {
  if (item instanceof Uint8Array) return item;
  // A Readable with an encoding set gives text.
  if (typeof item === 'string') return Buffer.from(item);
  throw new HoldfastError('INVALID_ARGUMENT', `the stream gave ${typeof item}, not bytes`, {
    remedy: 'Give a stream of Buffers or Uint8Arrays.',
  });
}
