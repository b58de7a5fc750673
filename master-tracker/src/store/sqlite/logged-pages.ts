/**
 * Which pages of a database its log holds: those that SQLite takes from there when it reads the log anew. Read by the format
 * that SQLite promises to keep, with all checksums: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 */
import type { OpenFile } from '@holdfast/shared';

/** The last bit says in which order the bytes of the checksums' words are. */
const magicNumber = 0x377f0682;
const formatVersion = 3_007_000;
const headerBytes = 32;
const frameHeaderBytes = 24;
/** What of a frame's header its checksum is over, besides the page. */
const summedFrameHeaderBytes = 8;
const smallestPageBytes = 512;
const largestPageBytes = 65_536;

export interface LoggedPages {
  readonly pageSizeBytes: number;
  /** Numbered from 1; those of transactions that were committed, and no others. */
  readonly pages: ReadonlySet<number>;
}

/** @returns undefined for what is no log, or one that SQLite would not read a page from */
export async function loggedPages(log: Pick<OpenFile, 'read'>): Promise<LoggedPages | undefined> {
  const header = Buffer.alloc(headerBytes);
  if ((await log.read(header, 0, headerBytes, 0)) < headerBytes) return undefined;
  const magic = header.readUInt32BE(0);
  const pageSizeBytes = header.readUInt32BE(8);
  const isPageSize = (pageSizeBytes & (pageSizeBytes - 1)) === 0;
  if (magic >>> 1 !== magicNumber >>> 1 || header.readUInt32BE(4) !== formatVersion || !isPageSize)
    return undefined;
  if (pageSizeBytes < smallestPageBytes || pageSizeBytes > largestPageBytes) return undefined;
  const checksum = new LogChecksum((magic & 1) === 1);
  checksum.add(header, 0, 24);
  if (!checksum.isAt(header, 24)) return undefined;

  const salts = header.subarray(16, 24);
  const frame = Buffer.alloc(frameHeaderBytes + pageSizeBytes);
  const pages = new Set<number>();
  let uncommitted: number[] = [];
  for (
    let at = headerBytes;
    (await log.read(frame, 0, frame.length, at)) === frame.length;
    at += frame.length
  ) {
    checksum.add(frame, 0, summedFrameHeaderBytes);
    checksum.add(frame, frameHeaderBytes, frame.length);
    const page = frame.readUInt32BE(0);
    // What follows is of an earlier use of the file, or was being written.
    if (page === 0 || !frame.subarray(8, 16).equals(salts) || !checksum.isAt(frame, 16)) break;
    uncommitted.push(page);
    const databasePagesAfterCommit = frame.readUInt32BE(4);
    if (databasePagesAfterCommit === 0) continue;
    for (const each of uncommitted) pages.add(each);
    uncommitted = [];
  }
  return pages.size === 0 ? undefined : { pageSizeBytes, pages };
}

/** Over all that came before, too: a frame is right only behind the frames that it was written behind. */
class LogChecksum {
  readonly #bigEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  /** The bytes from `start` to `end`, a multiple of 8. */
  add(bytes: Buffer, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const littleEndian = !this.#bigEndian;
    let first = this.#first;
    let second = this.#second;
    for (let at = start; at < end; at += 8) {
      first = (first + view.getUint32(at, littleEndian) + second) | 0;
      second = (second + view.getUint32(at + 4, littleEndian) + first) | 0;
    }
    this.#first = first;
    this.#second = second;
  }

  isAt(bytes: Buffer, position: number): boolean {
    return bytes.readInt32BE(position) === this.#first && bytes.readInt32BE(position + 4) === this.#second;
  }
}
