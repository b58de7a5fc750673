/**
 * Messages with blocks, without copying the blocks twice. The generated serialiser builds a buffer of the whole
 * message, which grpc-js then copies into its frame. What stands here has the same bytes but builds only what
 * comes before the data; grpc-js's own copy into the frame is the only one.
 *
 * It leans on grpc-js asking a serialised message for no more than its length and for a copy of itself; a test
 * fails when that changes. All messages with blocks have them as field 2, with the data last.
 */
import { type BlockRun, commonV1 } from '@holdfast/proto';

/** Field 2, length-delimited: `blocks` in WriteChunkRequest, ReadChunkResponse and StreamReplicaResponse. */
const blocksTag = 0x12;
/** Field 15, length-delimited: `data` in BlockRun. */
const dataTag = 0x7a;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}

/** A message as far as grpc-js looks at it: something with a length that copies itself. */
class BlockFrame {
  readonly #head: Buffer;
  readonly #data: Uint8Array;
  readonly length: number;
  readonly byteLength: number;

  constructor(run: BlockRun, data: Uint8Array) {
    const start = commonV1.BlockRun.serialize({ offset: run.offset ?? 0, checksums: run.checksums ?? [] });
    const dataHead = [dataTag, ...varint(data.length)];
    const runBytes = start.length + dataHead.length + data.length;
    this.#head = Buffer.from([blocksTag, ...varint(runBytes), ...start, ...dataHead]);
    this.#data = data;
    this.length = this.#head.length + data.length;
    this.byteLength = this.length;
  }

  copy(target: Buffer, offset = 0): number {
    this.#head.copy(target, offset);
    target.set(this.#data, offset + this.#head.length);
    return this.length;
  }
}

/**
 * A serialiser for messages that may have `blocks`, over the generated one. The data is read when the message is
 * written to the stream; it may be reused once that write is done.
 */
export function blockSerializer<M extends { blocks?: BlockRun | null }>(
  serialize: (message: M) => Buffer,
): (message: M) => Buffer {
  return (message) => {
    const data = message.blocks?.data;
    if (!message.blocks || !(data instanceof Uint8Array) || data.length === 0) return serialize(message);
    return new BlockFrame(message.blocks, data) as unknown as Buffer;
  };
}
