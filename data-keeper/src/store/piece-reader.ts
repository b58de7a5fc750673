/**
 * Reading runs of blocks: from a piece that is stored, where every block is verified before it goes out, and
 * from one that is being written, where the bytes were verified a moment ago and whoever follows verifies them
 * again (one CRC a hop is enough, and the follower's is the one that counts).
 */
import {
  type Bytes,
  type ChecksumTable,
  type FileSystem,
  HoldfastError,
  type OpenFile,
  errnoOf,
  firstMismatch,
  limits,
} from '@holdfast/shared';
import { chunkFileFormat } from './chunk-file-format.js';
import { damaged, decodeFooter, decodeHeader, layoutOf } from './chunk-file.js';
import type { PieceReader, StoredPieceReader } from './chunk-store.js';
import { diskError } from './disk-error.js';
import { type BlockRun, type PieceKey, type PieceSpec, type StoredPiece, pieceName } from './piece.js';

/** What somebody put in the place of a piece: a directory, a socket, a link to itself. That is no fault of the disk. */
function isOddity(error: unknown): boolean {
  return ['EISDIR', 'ENXIO', 'ENODEV', 'ELOOP'].includes(errnoOf(error) ?? '');
}

/** Reads `lengthBytes` into the start of `into`, or into memory of its own. */
export async function readExactly(
  file: OpenFile,
  key: PieceKey,
  position: number,
  lengthBytes: number,
  into?: Buffer,
): Promise<Buffer> {
  const target = into ? into.subarray(0, lengthBytes) : Buffer.allocUnsafeSlow(lengthBytes);
  let read: number;
  try {
    read = await file.read(target, 0, target.length, position);
  } catch (error) {
    if (isOddity(error)) throw damaged(key, 'there is no file in its place');
    throw diskError(error, `cannot read piece ${pieceName(key)}`);
  }
  if (read < target.length) throw damaged(key, 'the file is cut off');
  return target;
}

/** Where the run that starts at `offsetBytes` ends: a message's worth of blocks, or `endBytes`. */
function runEnd(spec: PieceSpec, offsetBytes: number, endBytes: number): number {
  if (offsetBytes % spec.blockSizeBytes !== 0 || offsetBytes >= endBytes) {
    throw new HoldfastError('INTERNAL', `no run of blocks starts at ${offsetBytes} and ends at ${endBytes}`);
  }
  return Math.min(offsetBytes + limits.messageDataBytes, endBytes, spec.lengthBytes);
}

/** Bytes of a piece's file, in `into` or where they are anyway. */
type GetBytes = (position: number, lengthBytes: number, into?: Buffer) => Promise<Bytes>;

async function readRun(
  get: GetBytes,
  spec: PieceSpec,
  offsetBytes: number,
  endBytes: number,
  into: Buffer | undefined,
  checksumOf: (block: number) => number,
): Promise<BlockRun> {
  const end = runEnd(spec, offsetBytes, endBytes);
  const first = offsetBytes / spec.blockSizeBytes;
  const blocks = Math.ceil((end - offsetBytes) / spec.blockSizeBytes);
  const length = end - offsetBytes;
  const data = await get(chunkFileFormat.headerBytes + offsetBytes, length, into);
  return { offsetBytes, checksums: Array.from({ length: blocks }, (_, i) => checksumOf(first + i)), data };
}

/** A reader of what is written so far of a piece; `close` lets go of its bytes. */
export function followingReader(
  get: GetBytes,
  spec: PieceSpec,
  table: ChecksumTable,
  close: () => Promise<void>,
): PieceReader {
  return {
    spec,
    read: (offsetBytes, endBytes, into) =>
      readRun(get, spec, offsetBytes, endBytes, into, (block) => table.get(block)),
    close,
  };
}

export function noSuchPiece(key: PieceKey): HoldfastError {
  return new HoldfastError('NOT_FOUND', `this keeper has no piece ${pieceName(key)}`, {
    remedy: 'Ask the tracker which keepers have it now.',
  });
}

/** See ChunkStore.open. */
export async function openStoredPiece(
  fileSystem: FileSystem,
  path: string,
  key: PieceKey,
  clusterId: string,
  mode: 'read' | 'medium' = 'read',
): Promise<StoredPieceReader> {
  let file: OpenFile;
  try {
    file = await fileSystem.open(path, mode);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw noSuchPiece(key);
    }
    if (isOddity(error)) throw damaged(key, 'there is no file in its place');
    throw diskError(error, `cannot open piece ${pieceName(key)}`);
  }
  try {
    const { spec, table } = await checkWhole(file, key, clusterId);
    return new DiskPieceReader(file, spec, table);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Checks header, size, table and footer of a file against one another and against its name. */
async function checkWhole(
  file: OpenFile,
  key: PieceKey,
  clusterId: string,
): Promise<{ spec: StoredPiece; table: Buffer }> {
  const header = decodeHeader(await readExactly(file, key, 0, chunkFileFormat.headerBytes), {
    ...key,
    clusterId,
  });
  const layout = layoutOf(header.lengthBytes, header.blockSizeBytes);
  const sizeBytes = await file.sizeBytes().catch((error: unknown) => {
    throw diskError(error, `cannot read piece ${pieceName(key)}`);
  });
  if (sizeBytes !== layout.fileBytes) {
    throw damaged(key, `the file has ${sizeBytes} bytes, not ${layout.fileBytes}`);
  }
  const tail = await readExactly(file, key, layout.tableStart, layout.fileBytes - layout.tableStart);
  const table = tail.subarray(0, layout.tableBytes);
  const digest = decodeFooter(tail.subarray(layout.tableBytes), table, key);
  const { chunkId, pieceIndex, uploadId, lengthBytes, blockSizeBytes } = header;
  return { spec: { chunkId, pieceIndex, uploadId, lengthBytes, blockSizeBytes, digest }, table };
}

class DiskPieceReader implements StoredPieceReader {
  readonly spec: StoredPiece;
  readonly fromMedium: boolean;
  readonly #file: OpenFile;
  readonly #table: Buffer;
  #closed = false;

  constructor(file: OpenFile, spec: StoredPiece, table: Buffer) {
    this.#file = file;
    this.fromMedium = file.fromMedium ?? false;
    this.spec = spec;
    this.#table = table;
  }

  async read(offsetBytes: number, endBytes: number, into?: Buffer): Promise<BlockRun> {
    const get: GetBytes = (...where) => readExactly(this.#file, this.spec, ...where);
    const run = await readRun(get, this.spec, offsetBytes, endBytes, into, (block) =>
      this.#table.readUInt32BE(block * 4),
    );
    const { blockSizeBytes } = this.spec;
    const mismatch = firstMismatch(run.data, run.checksums, blockSizeBytes);
    if (mismatch < 0) return run;
    throw damaged(this.spec, `the block at ${offsetBytes + mismatch} does not match its checksum`);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file.close();
  }
}
