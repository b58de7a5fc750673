/** Node's streams around the core's iterations: reading pulls, destroying aborts, finishing means committed. */
import { PassThrough, Readable, Writable } from 'node:stream';
import { markAsUntransferable } from 'node:worker_threads';
import { type Bytes, HoldfastError, cancelled, partsOf } from '@holdfast/shared';
import { firstOf } from '../core/signals.js';
import type { UploadResult } from '../upload/upload.js';

/**
 * Reading ahead is the iteration's affair. With room for one part the stream never joins several, which for a
 * reader with `for await` was two fifths of the CPU time.
 */
const readBufferBytes = 1;

function gone(): HoldfastError {
  return new HoldfastError('CANCELLED', 'the stream was destroyed');
}

/** A stream over bytes that are made under a signal, which destroying the stream aborts at once. */
export function bytesReadable(
  start: (signal: AbortSignal) => AsyncGenerator<Bytes, void, undefined>,
  signal?: AbortSignal,
): Readable {
  const abort = new AbortController();
  const either = firstOf(signal, abort.signal);
  const bytes = start(either);
  let parts: readonly Uint8Array[] = [];
  let pushedParts = 0;
  /** Hands over parts as far as there is room: the stream would join what it has to keep. */
  const pushParts = (to: Readable): void => {
    for (let hasRoom = true; hasRoom;) {
      const part = parts[pushedParts];
      if (!part) return;
      // Other parts lie in the same memory, and would be empty if this one were transferred to a thread.
      markAsUntransferable(part.buffer);
      // Counted first: who is handed a part may ask for the next one before `push` returns.
      pushedParts += 1;
      hasRoom = to.push(part);
    }
  };
  const stream = new Readable({
    highWaterMark: readBufferBytes,
    read() {
      if (pushedParts < parts.length) {
        pushParts(this);
        return;
      }
      bytes.next().then(
        ({ done, value }) => {
          if (done === true) this.push(null);
          else {
            parts = partsOf(value);
            pushedParts = 0;
            pushParts(this);
          }
        },
        (error: unknown) => this.destroy(error as Error),
      );
    },
    destroy(error, callback) {
      abort.abort(gone());
      // Not waited for: the abort has ended whatever it was waiting for.
      void bytes.return().catch(() => undefined);
      callback(error);
    },
  });
  // While its reader takes nothing, nobody asks for bytes and finds out.
  either.addEventListener('abort', () => stream.destroy(cancelled(either)), { once: true });
  if (either.aborted) stream.destroy(cancelled(either));
  return stream;
}

export interface UploadStream {
  /** The result of the upload; rejects with its error, which the stream also emits. */
  readonly committed: Promise<UploadResult>;
}

/** A stream whose bytes `start` uploads. */
export function uploadStream(
  start: (source: Readable, signal: AbortSignal) => Promise<UploadResult>,
  signal?: AbortSignal,
): Writable & UploadStream {
  const abort = new AbortController();
  const through = new PassThrough();
  // Its end is seen by the upload, which reads it; without a listener it would end the process.
  through.on('error', () => undefined);
  const committed = start(through, firstOf(signal, abort.signal));
  const writable = new Writable({
    write: (chunk, encoding, callback) => void through.write(chunk, encoding, callback),
    final(callback) {
      through.end();
      committed.then(() => callback(), callback);
    },
    destroy(error, callback) {
      abort.abort(error ?? gone());
      through.destroy(error ?? gone());
      // Not before the session is given up: then nothing of it can appear any more.
      void committed.then(
        () => callback(error),
        () => callback(error),
      );
    },
  });
  // A failure that comes while nobody writes must be heard of too.
  committed.catch((error: unknown) => writable.destroy(error as Error));
  return Object.assign(writable, { committed });
}
