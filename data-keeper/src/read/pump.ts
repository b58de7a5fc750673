/**
 * From the disk to whoever reads: the next run is read while the last one is being sent, and no more than that.
 * Two buffers take turns for the whole piece: a new MiB for every message costs more in page faults than the
 * reading itself.
 */
import { limits } from '@holdfast/shared';
import type { PieceReader } from '../store/chunk-store.js';
import type { BlockRun } from '../store/piece.js';

export class Pump {
  readonly #reader: PieceReader;
  readonly #send: (run: BlockRun) => Promise<void>;
  readonly #bufferBytes: number;
  #free: Buffer | undefined;
  #other: Buffer | undefined;

  /** @param send takes a run; when it has resolved the run's data may be overwritten */
  constructor(reader: PieceReader, send: (run: BlockRun) => Promise<void>) {
    this.#reader = reader;
    this.#send = send;
    this.#bufferBytes = Math.min(limits.messageDataBytes, reader.spec.lengthBytes);
  }

  /**
   * Sends the blocks from `startBytes` to `endBytes` (block boundaries, or the piece's end). When it settles no
   * read is under way, so the reader may be closed.
   */
  async run(startBytes: number, endBytes: number): Promise<void> {
    let offset = startBytes;
    let reading = this.#read(offset, endBytes);
    try {
      for (;;) {
        const run = await reading;
        offset += run.data.length;
        if (offset >= endBytes) {
          await this.#send(run);
          return;
        }
        reading = this.#read(offset, endBytes);
        reading.catch(() => undefined);
        await this.#send(run);
      }
    } finally {
      await reading.catch(() => undefined);
    }
  }

  /** Into the buffer that was sent last but one. */
  #read(offset: number, endBytes: number): Promise<BlockRun> {
    const into = this.#free ?? Buffer.allocUnsafeSlow(this.#bufferBytes);
    [this.#free, this.#other] = [this.#other, into];
    return this.#reader.read(offset, endBytes, into);
  }
}
