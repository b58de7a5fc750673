/**
 * What is really on a keeper's disk, by the formats that docs/formats describe and without the product's code: a
 * judge must not ask the accused.
 */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** The folders in which a piece's file can be. */
const places = ['chunks', 'trash', 'quarantine', 'tmp'] as const;
type Place = (typeof places)[number];

export interface PieceFile {
  readonly chunkId: string;
  readonly place: Place;
  readonly path: string;
}

export interface KeeperDisk {
  readonly files: readonly PieceFile[];
  /** What is in none of these places, or is there and is no piece: there should be nothing. */
  readonly strangers: readonly string[];
}

/** Beside the pieces: who the keeper is, what it has seen, and its lock. */
const known = /^(IDENTITY|STATE|SCRUB|RESERVE|LOCK.*|lost\+found)$/;
const pieceName = /^([0-9a-f]{32})\.\d{1,2}$/;
/** Damaged copies of one piece have numbers. */
const quarantinedName = /^([0-9a-f]{32})\.\d{1,2}(?:\.\d+)?$/;
/** A piece that is being written, a small file that is being replaced, or a trial of what the disk takes. */
const temporaryName =
  /^(?:([0-9a-f]{32})\.\d{1,2}\.[0-9a-f]{16}|(?:IDENTITY|STATE|SCRUB)\.new|room\.[0-9a-f]{16}|permitted)$/;
const nameIn: Partial<Record<Place, RegExp>> = { tmp: temporaryName, quarantine: quarantinedName };

/** Looks through a keeper's data directory. */
export async function lookAtDisk(dataDir: string): Promise<KeeperDisk> {
  const files: PieceFile[] = [];
  const strangers: string[] = [];
  const take = (place: Place, folder: string, names: readonly string[]): void => {
    for (const name of names) {
      const path = join(dataDir, folder, name);
      const [isPiece, chunkId = ''] = (nameIn[place] ?? pieceName).exec(name) ?? [];
      const isAtHome = place !== 'chunks' || folder === join('chunks', chunkId.slice(0, 2));
      if (isPiece === undefined || !isAtHome) strangers.push(path);
      else files.push({ chunkId, place, path });
    }
  };
  for (const name of await readdir(dataDir)) {
    const place = places.find((each) => each === name);
    if (place === 'chunks') {
      for (const shard of await readdir(join(dataDir, place))) {
        take(place, join(place, shard), await readdir(join(dataDir, place, shard)));
      }
    } else if (place !== undefined) take(place, place, await readdir(join(dataDir, place)));
    else if (!known.test(name)) strangers.push(join(dataDir, name));
  }
  return { files, strangers };
}

/** The pieces that a keeper has in their place, in the order of their chunks. */
export async function storedPieces(dataDir: string): Promise<PieceFile[]> {
  const { files } = await lookAtDisk(dataDir);
  return files
    .filter(({ place }) => place === 'chunks')
    .sort((a, b) => (a.chunkId < b.chunkId ? -1 : a.chunkId > b.chunkId ? 1 : 0));
}

/** docs/formats/chunk-file.md. */
const headerBytes = 4_096;
const footerBytes = 48;
const at = { blockSize: 16, chunkId: 40, length: 72 } as const;

/** Where the parts of a piece's file begin, in bytes. */
export function partsOf(file: Buffer): {
  readonly data: number;
  readonly table: number;
  readonly footer: number;
} {
  const lengthBytes = Number(file.readBigUInt64BE(at.length));
  const blocks = Math.ceil(lengthBytes / file.readUInt32BE(at.blockSize));
  const table = headerBytes + lengthBytes;
  return { data: headerBytes, table, footer: table + blocks * 4 };
}

/** Reads a piece from its first byte to its last; its chunk's digest in hexadecimal. @throws Error if it is damaged */
export async function checkPiece({ path, chunkId }: PieceFile): Promise<string> {
  const file = await readFile(path);
  const wrong = (what: string): Error => new Error(`${path}: ${what}`);
  if (file.length < headerBytes) throw wrong('the header is cut off');
  if (file.toString('hex', at.chunkId, at.chunkId + 16) !== chunkId)
    throw wrong('it is the piece of another chunk');
  if (crc32(file.subarray(0, headerBytes - 4)) !== file.readUInt32BE(headerBytes - 4)) {
    throw wrong('the header is damaged');
  }
  const { data, table, footer } = partsOf(file);
  if (file.length !== footer + footerBytes) throw wrong(`it has ${file.length} bytes`);
  const blockSizeBytes = file.readUInt32BE(at.blockSize);
  for (let start = data, block = 0; start < table; start += blockSizeBytes, block += 1) {
    const end = Math.min(start + blockSizeBytes, table);
    if (crc32(file.subarray(start, end)) !== file.readUInt32BE(table + block * 4)) {
      throw wrong(`block ${block} is damaged`);
    }
  }
  const digest = createHash('sha256').update(file.subarray(table, footer)).digest('hex');
  if (digest !== file.toString('hex', footer, footer + 32)) throw wrong('the table is damaged');
  return digest;
}
