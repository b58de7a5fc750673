/**
 * Many jobs side by side: the items are asked for one at a time, so a walk of any length stays small. Small files
 * cost round trips and large ones bytes and memory, so each job takes its part of a common room.
 */

export { costOf, filesAtOnce } from '../core/side-by-side.js';

/**
 * Calls `job` for each item, in order of their coming and as many at once as their costs fit into `room`. The
 * first failure stops the asking, and is thrown when those that run have ended.
 *
 * @param cost 1 to `room`
 */
export async function forEachOf<T>(
  items: AsyncGenerator<T, void, undefined>,
  room: number,
  cost: (item: T) => number,
  job: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let free = room;
  let failure: { readonly error: unknown } | undefined;
  const run = async (item: T, taken: number): Promise<void> => {
    try {
      await job(item);
    } catch (error) {
      failure ??= { error };
    }
    free += taken;
  };
  try {
    for await (const item of items) {
      const taken = cost(item);
      while (free < taken && !failure) await Promise.race(running);
      if (failure) break;
      free -= taken;
      const ran = run(item, taken).finally(() => running.delete(ran));
      running.add(ran);
    }
  } catch (error) {
    failure ??= { error };
  }
  await Promise.all(running);
  if (failure) throw failure.error;
}
