/**
 * From the disk to whoever reads: the next run is read while the last one is being sent, and no more than that.
 * Two buffers take turns for the whole piece: a new MiB for every message costs more in page faults than the
 * reading itself.
 */
import { limits } from '@holdfast/shared';
import type { PieceReader } from '../store/chunk-store.js';
import type { BlockRun } from '../store/piece.js';

/** Each pump reads into one while the other one is sent. */
const buffersPerPump = 2;

/**
 * The memory of all pumps, shared out evenly among those at work: few of them fill whole messages, many of them send
 * shorter ones, which cost more CPU time a byte, instead of pinning 2 MiB each. A run is a block at least: pieces with
 * blocks of 1 MiB, which are a writer's choice, still take 2 MiB each (S10 is then the number of streams).
 */
export class PumpMemory {
  readonly #totalBytes: number;
  #pumps = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  begin(): void {
    this.#pumps += 1;
  }

  end(): void {
    this.#pumps -= 1;
  }

  /** How long a run may be now, in bytes: a power of two, so that it is whole blocks and seldom changes. */
  get runBytes(): number {
    const share = this.#totalBytes / (buffersPerPump * Math.max(1, this.#pumps));
    return Math.min(limits.messageDataBytes, 2 ** Math.floor(Math.log2(share)));
  }
}

export class Pump {
  readonly #reader: PieceReader;
  readonly #send: (run: BlockRun) => Promise<void>;
  readonly #memory: PumpMemory | undefined;
  #free: Buffer | undefined;
  #other: Buffer | undefined;

  /**
   * @param send takes a run; when it has resolved the run's data may be overwritten
   * @param memory shared with other pumps; without, runs fill whole messages
   */
  constructor(reader: PieceReader, send: (run: BlockRun) => Promise<void>, memory?: PumpMemory) {
    this.#reader = reader;
    this.#send = send;
    this.#memory = memory;
  }

  /**
   * Sends the blocks from `startBytes` to `endBytes` (block boundaries, or the piece's end). When it settles no
   * read is under way, so the reader may be closed.
   */
  async run(startBytes: number, endBytes: number): Promise<void> {
    this.#memory?.begin();
    let reading: Promise<BlockRun> | undefined;
    try {
      let offset = startBytes;
      reading = this.#read(offset, endBytes);
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
      await reading?.catch(() => undefined);
      this.#memory?.end();
    }
  }

  /** Into the buffer that was sent last but one. */
  #read(offset: number, endBytes: number): Promise<BlockRun> {
    const { blockSizeBytes, lengthBytes } = this.#reader.spec;
    // At least a block, which is a power of two as well.
    const runBytes = Math.max(blockSizeBytes, this.#memory?.runBytes ?? limits.messageDataBytes);
    const bufferBytes = Math.min(runBytes, lengthBytes);
    const into = this.#free?.length === bufferBytes ? this.#free : Buffer.allocUnsafeSlow(bufferBytes);
    [this.#free, this.#other] = [this.#other, into];
    return this.#reader.read(offset, Math.min(endBytes, offset + runBytes), into);
  }
}
