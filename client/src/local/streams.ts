/** Node's streams around the core's iterations: reading pulls, destroying aborts, finishing means committed. */
import { PassThrough, Readable, Writable } from 'node:stream';
import { HoldfastError, cancelled } from '@holdfast/shared';
import { firstOf } from '../core/signals.js';
import type { UploadResult } from '../upload/upload.js';

/** Reading ahead is the iteration's affair; the stream itself keeps one piece. */
const readBufferBytes = 64 * 1024;

function gone(): HoldfastError {
  return new HoldfastError('CANCELLED', 'the stream was destroyed');
}

/** A stream over bytes that are made under a signal, which destroying the stream aborts at once. */
export function bytesReadable(
  start: (signal: AbortSignal) => AsyncGenerator<Buffer, void, undefined>,
  signal?: AbortSignal,
): Readable {
  const abort = new AbortController();
  const either = firstOf(signal, abort.signal);
  const bytes = start(either);
  const stream = new Readable({
    highWaterMark: readBufferBytes,
    read() {
      bytes.next().then(
        ({ done, value }) => this.push(done === true ? null : value),
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
