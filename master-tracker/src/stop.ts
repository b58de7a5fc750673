/** How a tracker that is asked to stop comes to its end, before its metadata are closed. */
import type { TrackerCore } from './core.js';
import type { createTrackerServer } from './grpc/server.js';

/** Calls that run when the tracker is stopped get this long; all of them take milliseconds. */
const stopGraceMs = 5_000;

/** Lets running calls end; watches, which never do, are ended first. */
export async function stopInOrder(
  { watches, workers }: Pick<TrackerCore, 'watches' | 'workers'>,
  wire: ReturnType<typeof createTrackerServer>,
): Promise<void> {
  wire.setServing(false);
  watches.stop();
  await wire.server.shutDown(stopGraceMs);
  await workers.stop();
}
