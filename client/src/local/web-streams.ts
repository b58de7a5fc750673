/**
 * Web Streams around the core's iterations, as local/streams.ts has Node's: reading pulls, cancelling aborts, closing
 * means committed.
 */
import { type Bytes, HoldfastError, cancelled, copyBytes } from '@holdfast/shared';
import { firstOf } from '../core/signals.js';
import type { UploadResult } from '../upload/upload.js';
import type { UploadStream } from './streams.js';

function gone(reason: unknown): HoldfastError {
  return HoldfastError.is(reason)
    ? reason
    : new HoldfastError('CANCELLED', 'the stream was cancelled', { cause: reason });
}

/**
 * A byte stream over bytes that are made under a signal, which cancelling the stream aborts at once. Nothing is made
 * before it is asked for. Each part is copied once, into the reader's own memory: a byte stream gives away the memory
 * of what it is given, and here others use it too.
 */
export function bytesReadableStream(
  start: (signal: AbortSignal) => AsyncGenerator<Bytes, void, undefined>,
  signal?: AbortSignal,
): ReadableStream<Uint8Array> {
  const abort = new AbortController();
  const either = firstOf(signal, abort.signal);
  const bytes = start(either);
  let left: Bytes = new Uint8Array(0);
  return new ReadableStream({
    type: 'bytes',
    start(controller) {
      const onAbort = (): void => controller.error(cancelled(either));
      either.addEventListener('abort', onAbort, { once: true });
      if (either.aborted) onAbort();
    },
    async pull(controller) {
      while (left.length === 0) {
        const { done, value } = await bytes.next();
        if (done === true) {
          controller.close();
          // Whoever brought memory of its own gets it back, empty.
          controller.byobRequest?.respond(0);
          return;
        }
        left = value;
      }
      const given = controller.byobRequest?.view;
      if (!given) {
        const whole = new Uint8Array(left.length);
        copyBytes(left, whole, 0);
        left = new Uint8Array(0);
        controller.enqueue(whole);
        return;
      }
      const room = new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
      const fitting = left.subarray(0, room.length);
      copyBytes(fitting, room, 0);
      left = left.subarray(fitting.length);
      controller.byobRequest?.respond(fitting.length);
    },
    cancel(reason) {
      abort.abort(gone(reason));
      // Not waited for: the abort has ended whatever it was waiting for.
      void bytes.return().catch(() => undefined);
    },
  });
}

/** A stream whose bytes `start` uploads. It takes as much as the upload does, and closes when that is committed. */
export function uploadWritableStream(
  start: (source: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<UploadResult>,
  signal?: AbortSignal,
): WritableStream<Uint8Array | string> & UploadStream {
  const abort = new AbortController();
  const through = new TransformStream<Uint8Array, Uint8Array>();
  const writer = through.writable.getWriter();
  // Said by what waits for the upload as well.
  writer.closed.catch(() => undefined);
  const committed = start(through.readable, firstOf(signal, abort.signal));
  /** What became of the upload says more than that its stream was cancelled. */
  const orItsFailure = (writing: Promise<void>): Promise<void> =>
    writing.catch(async (error: unknown) => {
      await committed;
      throw error;
    });
  const stream = new WritableStream<Uint8Array | string>({
    start(controller) {
      // A failure that comes while nobody writes must be heard of too, and a write that waits must end.
      committed.catch((error: unknown) => {
        controller.error(error);
        void writer.abort(error).catch(() => undefined);
      });
    },
    write: (part) => orItsFailure(writer.write(part as Uint8Array)),
    async close() {
      await orItsFailure(writer.close());
      await committed;
    },
    async abort(reason) {
      abort.abort(gone(reason));
      // Not before the session is given up: then nothing of it can appear any more.
      await committed.catch(() => undefined);
    },
  });
  return Object.assign(stream, { committed });
}
