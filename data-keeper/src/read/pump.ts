/**
 * From the disk to whoever reads: the next run is read while the last one is being sent, and no more than that.
 * Buffers are used again, by this pump and by those after it: a new MiB for every message costs more in page faults
 * than the reading itself, and one for every part of a file that a client asks for makes V8 collect all garbage there
 * is for each 64 MiB of them.
 */
import { limits } from '@holdfast/shared';
import type { PieceReader } from '../store/chunk-store.js';
import type { BlockRun } from '../store/piece.js';

/** Each pump reads into one while the other one is sent. */
const buffersPerPump = 2;

/** What may lie idle for the next runs: enough for those that are sent and read at the same moment. */
const maxIdleBytes = 8 * limits.messageDataBytes;

/**
 * The memory of all pumps, shared out evenly among those at work: few of them fill whole messages, many of them send
 * shorter ones, which cost more CPU time a byte, instead of pinning 2 MiB each. A run is a block at least: pieces with
 * blocks of 1 MiB, which are a writer's choice, still take 2 MiB each (S10 is then the number of streams). It keeps
 * buffers for those that come next, too.
 */
export class PumpMemory {
  readonly #totalBytes: number;
  #pumps = 0;
  /** Buffers that nobody uses, the last one used at the end. */
  #idle: Buffer[] = [];
  #idleBytes = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  begin(): void {
    this.#pumps += 1;
  }

  end(): void {
    this.#pumps -= 1;
  }

  /** A buffer of so many bytes, with anything in it. */
  take(bytes: number): Buffer {
    const index = this.#idle.findLastIndex(({ length }) => length === bytes);
    const [buffer] = index < 0 ? [] : this.#idle.splice(index, 1);
    if (!buffer) return Buffer.allocUnsafeSlow(bytes);
    this.#idleBytes -= bytes;
    return buffer;
  }

  /** Takes back a buffer that nobody reads or writes any more. Kept are those that a run may want, not a short piece's. */
  giveBack(buffer: Buffer): void {
    const isRunLong = buffer.length >= this.runBytes && Number.isInteger(Math.log2(buffer.length));
    if (!isRunLong) return;
    this.#idle.push(buffer);
    this.#idleBytes += buffer.length;
    while (this.#idleBytes > maxIdleBytes) this.#idleBytes -= this.#idle.shift()?.length ?? 0;
  }

  /** How long a run may be now, in bytes: a power of two, so that it is whole blocks and seldom changes. */
  get runBytes(): number {
    const share = this.#totalBytes / (buffersPerPump * Math.max(1, this.#pumps));
    return Math.min(limits.messageDataBytes, 2 ** Math.floor(Math.log2(share)));
  }
}

interface FilledRun {
  readonly run: BlockRun;
  readonly buffer: Buffer;
}

export class Pump {
  readonly #reader: PieceReader;
  readonly #send: (run: BlockRun) => Promise<void>;
  readonly #memory: PumpMemory;

  /** @param send takes a run; when it has resolved the run's data may be overwritten */
  constructor(reader: PieceReader, send: (run: BlockRun) => Promise<void>, memory: PumpMemory) {
    this.#reader = reader;
    this.#send = send;
    this.#memory = memory;
  }

  /**
   * Sends the blocks from `startBytes` to `endBytes` (block boundaries, or the piece's end). When it settles no
   * read is under way, so the reader may be closed.
   */
  async run(startBytes: number, endBytes: number): Promise<void> {
    this.#memory.begin();
    let reading: Promise<FilledRun> | undefined;
    try {
      let offset = startBytes;
      reading = this.#read(offset, endBytes);
      for (;;) {
        const { run, buffer } = await reading;
        offset += run.data.length;
        const isLast = offset >= endBytes;
        if (!isLast) {
          reading = this.#read(offset, endBytes);
          reading.catch(() => undefined);
        }
        await this.#send(run);
        // Not when the sending failed: part of it may still be on its way to the socket, and a buffer that is another
        // stream's by then would put that one's bytes there (shared's serverStream rejects whenever the caller is gone).
        this.#memory.giveBack(buffer);
        if (isLast) return;
      }
    } finally {
      await reading?.catch(() => undefined);
      this.#memory.end();
    }
  }

  async #read(offset: number, endBytes: number): Promise<FilledRun> {
    const { blockSizeBytes, lengthBytes } = this.#reader.spec;
    // At least a block, which is a power of two as well.
    const runBytes = Math.max(blockSizeBytes, this.#memory.runBytes);
    const buffer = this.#memory.take(Math.min(runBytes, lengthBytes));
    const run = await this.#reader.read(offset, Math.min(endBytes, offset + runBytes), buffer);
    return { run, buffer };
  }
}
