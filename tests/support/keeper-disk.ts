/**
 * What is really on a keeper's disk, by the formats that docs/formats describe and without the product's code: a
 * judge must not ask the accused.
 */
import { damageOf } from '@holdfast/simulation';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

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

/**
 * What is wrong with a piece on the disk, read from its first byte to its last; undefined if nothing is.
 *
 * @param digest its chunk's, in hexadecimal, if it is known
 * @throws Error if it cannot be read
 */
export async function damageOfPiece(
  { path, chunkId }: PieceFile,
  digest?: string,
): Promise<string | undefined> {
  return damageOf(await readFile(path), chunkId, digest);
}
