/** From the disk to whoever reads: the next run is read while the last one is being sent, and no more than that. */
import type { PieceReader } from '../store/chunk-store.js';
import type { BlockRun } from '../store/piece.js';

/**
 * Sends the blocks from `startBytes` to `endBytes` (block boundaries, or the piece's end). When it settles no
 * read is under way, so the reader may be closed.
 */
export async function pumpRuns(
  reader: PieceReader,
  startBytes: number,
  endBytes: number,
  send: (run: BlockRun) => Promise<void>,
): Promise<void> {
  let offset = startBytes;
  let reading = reader.read(offset, endBytes);
  try {
    for (;;) {
      const run = await reading;
      offset += run.data.length;
      if (offset >= endBytes) {
        await send(run);
        return;
      }
      reading = reader.read(offset, endBytes);
      reading.catch(() => undefined);
      await send(run);
    }
  } finally {
    await reading.catch(() => undefined);
  }
}
