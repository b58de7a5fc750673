/** An encoded message that was never joined: what goes to or comes from a socket part by part. */
import { ByteParts, copyBytes, joinBytes } from '../domain/bytes.js';

/**
 * As much of a Buffer as grpc-js asks of an encoded message: a length, and a copy of itself. So a grpc-js that
 * does not know about parts joins them in its own frame, and everything works, with one copy more.
 */
export class PartedMessage {
  readonly bytes: ByteParts;
  readonly length: number;
  readonly byteLength: number;

  constructor(parts: readonly Uint8Array[]) {
    this.bytes = new ByteParts(parts);
    this.length = this.bytes.length;
    this.byteLength = this.length;
  }

  copy(target: Buffer, offset = 0): number {
    copyBytes(this.bytes, target, offset);
    return this.length;
  }

  join(): Buffer {
    return joinBytes(this.bytes);
  }
}
