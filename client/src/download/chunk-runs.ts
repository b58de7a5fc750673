/**
 * Many small files that share chunks, as the few ranges that bring all of them. The failure it answers: a request to a
 * keeper for each file costs a hundred times what the bytes of a small file do. Pure.
 */
import type { LocatedExtent } from '../ports/tracker-api.js';
import type { ChunkRange } from './range-reader.js';

/** A file that one extent holds. */
export interface PlacedFile<File> {
  readonly file: File;
  readonly version: number;
  readonly extent: LocatedExtent;
}

/** A range of a chunk, and the files that are in it, in the order of their bytes. */
export interface ChunkRun<File> {
  readonly range: ChunkRange;
  readonly files: readonly PlacedFile<File>[];
}

/** Long enough that the request is cheap beside its bytes; it is in memory as a whole. */
const maxRunBytes = 4 * 1024 * 1024;
/** What nobody asked for and is read all the same rather than asking twice: as much as two blocks. */
const maxGapBytes = 128 * 1024;

/** The runs that hold all of `placed`, in the order in which their first files come. */
export function chunkRuns<File>(placed: readonly PlacedFile<File>[]): ChunkRun<File>[] {
  const byChunk = new Map<string, PlacedFile<File>[]>();
  for (const one of placed) {
    const others = byChunk.get(one.extent.chunkId);
    if (others) others.push(one);
    else byChunk.set(one.extent.chunkId, [one]);
  }
  return [...byChunk.values()].flatMap(runsOfChunk);
}

function runsOfChunk<File>(placed: readonly PlacedFile<File>[]): ChunkRun<File>[] {
  const runs: { range: ChunkRange; files: PlacedFile<File>[] }[] = [];
  for (const one of [...placed].sort((a, b) => a.extent.chunkOffset - b.extent.chunkOffset)) {
    const { version, extent } = one;
    const start = extent.chunkOffset;
    const end = start + extent.lengthBytes;
    const last = runs.at(-1);
    if (last && start - last.range.end <= maxGapBytes && end - last.range.start <= maxRunBytes) {
      last.range = { ...last.range, end: Math.max(last.range.end, end) };
      last.files.push(one);
    } else {
      runs.push({ range: { version, extent, start, end }, files: [one] });
    }
  }
  return runs;
}
