/**
 * A piece on its way to the disk: temp file, verified blocks, table, footer, data sync, rename, directory sync.
 *
 * The failure it answers: power goes at any instant. The temp name means nothing, the final name appears only
 * after the contents are on stable storage, and the receipt is given only after the name is. So a crash leaves
 * nothing or a whole verified piece, and after a receipt always the piece.
 */
import { ChecksumTable, HoldfastError, blockCount, firstMismatch, limits } from '@holdfast/shared';
import { encodeFooter, encodeHeader, layoutOf } from './chunk-file.js';
import type { PieceReader, PieceWriter } from './chunk-store.js';
import type { DirectorySync } from './directory-sync.js';
import { type PieceBody, type PieceBodyHome, beginBody } from './piece-body.js';
import { type BlockRun, type PieceSpec, type StoredPiece, pieceName } from './piece.js';
import { followingReader } from './piece-reader.js';

/** What a writer needs of its store. */
export interface PieceWriterHome extends PieceBodyHome {
  readonly directorySync: DirectorySync;
  readonly clusterId: string;
  readonly finalPath: string;
  readonly finalDirectory: string;
  /** What is stored under the final name now. */
  readonly stored: () => Promise<StoredPiece | undefined>;
  /** Told before the final name appears, and once it is on stable storage: in between nobody may count on it. */
  readonly arriving: (isArriving: boolean) => void;
  /** Told once how it ended; from then on the piece is no longer being written. */
  readonly ended: (stored: boolean) => void;
}

export async function beginPiece(home: PieceWriterHome, spec: PieceSpec): Promise<PieceWriter> {
  const body = await beginBody(home, spec);
  const writer = new DiskPieceWriter(home, spec, body);
  try {
    await body.put(encodeHeader({ ...spec, clusterId: home.clusterId }), 0);
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return writer;
}

class DiskPieceWriter implements PieceWriter {
  readonly spec: PieceSpec;
  readonly #home: PieceWriterHome;
  readonly #body: PieceBody;
  readonly #table: ChecksumTable;
  readonly #lostSyncs: number;
  #writtenBytes = 0;
  #renamed = false;
  #ended = false;

  constructor(home: PieceWriterHome, spec: PieceSpec, body: PieceBody) {
    this.#home = home;
    this.spec = spec;
    this.#body = body;
    this.#lostSyncs = home.health.lostSyncs;
    this.#table = new ChecksumTable(spec.lengthBytes, spec.blockSizeBytes);
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  async append(run: BlockRun): Promise<void> {
    this.#check(run);
    const { dataStart } = layoutOf(this.spec.lengthBytes, this.spec.blockSizeBytes);
    await this.#body.put(run.data, dataStart + run.offsetBytes);
    const first = run.offsetBytes / this.spec.blockSizeBytes;
    run.checksums.forEach((checksum, index) => this.#table.set(first + index, checksum));
    this.#writtenBytes += run.data.length;
  }

  #check({ offsetBytes, checksums, data }: BlockRun): void {
    const { lengthBytes, blockSizeBytes } = this.spec;
    const end = offsetBytes + data.length;
    const refuse = (why: string): HoldfastError =>
      new HoldfastError('INVALID_ARGUMENT', `blocks of ${pieceName(this.spec)} are refused: ${why}`);
    if (this.#ended) throw refuse('the piece is finished');
    if (offsetBytes !== this.#writtenBytes) {
      throw refuse(`they start at ${offsetBytes}, and ${this.#writtenBytes} is next`);
    }
    if (data.length === 0) throw refuse('there are none');
    if (data.length > limits.messageDataBytes)
      throw refuse(`${data.length} bytes are too many for a message`);
    if (end > lengthBytes) throw refuse(`they end at ${end}, and the piece at ${lengthBytes}`);
    if (end < lengthBytes && end % blockSizeBytes !== 0) throw refuse('the last one is not whole');
    if (checksums.length !== blockCount(data.length, blockSizeBytes)) {
      throw refuse(`they have ${checksums.length} checksums`);
    }
    const mismatch = firstMismatch(data, checksums, blockSizeBytes);
    if (mismatch < 0) return;
    throw new HoldfastError(
      'CHECKSUM_MISMATCH',
      `the block at ${offsetBytes + mismatch} of ${pieceName(this.spec)} arrived damaged`,
      { remedy: 'Send the chunk again under a new chunk id; if it happens again, check memory and network.' },
    );
  }

  follow(): PieceReader {
    const body = this.#body;
    return followingReader((...where) => body.get(...where), this.spec, this.#table, body.hold());
  }

  seal(expectedDigest?: Buffer): Buffer {
    const { lengthBytes } = this.spec;
    if (this.#ended || this.#writtenBytes !== lengthBytes) {
      throw new HoldfastError(
        'INVALID_ARGUMENT',
        `piece ${pieceName(this.spec)} ended after ${this.#writtenBytes} of ${lengthBytes} bytes`,
      );
    }
    const digest = this.#table.digest();
    if (expectedDigest && !expectedDigest.equals(digest)) {
      throw new HoldfastError(
        'CHECKSUM_MISMATCH',
        `piece ${pieceName(this.spec)} is not what was asked for`,
        {
          remedy: 'The source has other bytes than the tracker knows: try another source.',
        },
      );
    }
    return digest;
  }

  async commit(): Promise<StoredPiece> {
    const piece = { ...this.spec, digest: this.seal() };
    const present = await this.#home.stored();
    if (present) {
      await this.abort();
      if (present.digest.equals(piece.digest)) return present;
      throw new HoldfastError('VERSION_CONFLICT', `piece ${pieceName(this.spec)} is there with other bytes`, {
        remedy: 'A chunk id means the same bytes for ever: ask the tracker for a new one.',
      });
    }
    await this.#makeDurable(piece);
    await this.#end(true);
    return piece;
  }

  /** Each step relies on the one before it; none is ever tried again. */
  async #makeDurable({ digest }: StoredPiece): Promise<void> {
    const { fileSystem, directorySync, health, temporaryPath, finalPath, finalDirectory } = this.#home;
    const doing = `cannot store piece ${pieceName(this.spec)}`;
    const { tableStart } = layoutOf(this.spec.lengthBytes, this.spec.blockSizeBytes);
    const tail = Buffer.concat([this.#table.bytes(), encodeFooter(digest)]);
    await this.#body.finish(tail, tableStart);
    // Another write's failed sync may have taken bytes of this one along.
    health.check(this.#lostSyncs);
    this.#home.arriving(true);
    await fileSystem.rename(temporaryPath, finalPath).catch((error: unknown) => {
      throw health.failed(error, doing);
    });
    this.#renamed = true;
    await directorySync.sync(finalDirectory).catch((error: unknown) => {
      throw health.syncFailed(error, doing);
    });
    // Nor does this sync's success mean anything if the one before it, which began after the rename, failed.
    health.check();
    this.#home.arriving(false);
  }

  async abort(): Promise<void> {
    if (this.#ended) return;
    // With the final name nobody was promised anything either, as long as its directory is not synced.
    const path = this.#renamed ? this.#home.finalPath : this.#home.temporaryPath;
    await this.#home.fileSystem.unlink(path).catch(() => undefined);
    await this.#end(false);
  }

  async #end(stored: boolean): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#home.ended(stored);
    // All that counts was synced, or is to be forgotten: a close that fails changes nothing.
    await this.#body.release().catch(() => undefined);
  }
}
