/**
 * When the trash must give way: deleted files must not keep others from being stored.
 *
 * Room comes back late: some seconds after a version was given up that nobody reads, until keepers have been told and
 * have said so; after the grace of reclamation, if somebody does. So the trash gives way while there is still room for
 * some chunks, and what is on its way is taken into account, or it would all be gone before the first byte came back.
 * Pure.
 */

/** Keepers with less than this share of their storage free are short of room, */
const lowShare = 0.05;
/** but not those with 4 GiB: what is written at 300 MB/s until room comes back. */
const plentyBytes = 4 * 1024 ** 3;
/** And those with less than this many chunks always: so many may be on their way at once to one keeper. */
const fewestChunks = 4;

export interface PressureView {
  /** Keepers that take new pieces; what they have free in bytes, and what of it is promised. */
  readonly keepers: readonly {
    readonly totalBytes: number;
    readonly freeBytes: number;
    readonly reservedBytes: number;
  }[];
  /** How many pieces an upload has that asks for no number. */
  readonly pieces: number;
  readonly chunkSizeBytes: number;
  /** The sizes of versions that were given up and whose room has not come back. */
  readonly retiredBytes: number;
  /** True if there was no room for a chunk of an upload lately, which may have ended and left some. */
  readonly refused: boolean;
}

export interface Pressure {
  /** True if too few keepers have room, whatever is on its way. */
  readonly isShort: boolean;
  /** How many bytes of versions are to be given up before their time; 0 while enough is on its way. */
  readonly giveUpBytes: number;
}

/** What is to be given up brings keepers to twice what is short, so that it is not asked for at every upload. */
export function pressureOn(view: PressureView): Pressure {
  const { keepers, pieces, chunkSizeBytes, retiredBytes, refused } = view;
  const lacking = keepers
    .map(({ totalBytes, freeBytes, reservedBytes }) => {
      const lowBytes = Math.max(fewestChunks * chunkSizeBytes, Math.min(plentyBytes, lowShare * totalBytes));
      const roomBytes = freeBytes - reservedBytes;
      const lackingBytes = Math.max(refused ? lowBytes : 0, 2 * lowBytes - roomBytes);
      return { isShort: refused || roomBytes < lowBytes, lackingBytes };
    })
    .sort((a, b) => a.lackingBytes - b.lackingBytes)
    // The roomiest of them, as many as a chunk needs.
    .slice(0, pieces);
  if (!lacking.some(({ isShort }) => isShort)) return { isShort: false, giveUpBytes: 0 };
  const eachBytes = lacking.reduce((sum, { lackingBytes }) => sum + lackingBytes, 0) / lacking.length;
  // A version's pieces lie on some of the keepers: each gets back a share of what is given up.
  const share = Math.min(1, pieces / keepers.length);
  return { isShort: true, giveUpBytes: Math.max(0, Math.ceil(eachBytes / share) - retiredBytes) };
}
