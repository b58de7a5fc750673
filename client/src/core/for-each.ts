/**
 * Many jobs side by side: the items are asked for one at a time, so a walk of any length stays small. Small files
 * cost round trips and large ones bytes and memory, so each job takes its part of a common room.
 */

/**
 * How many small files are on their way at once: with 32 a local cluster stores half as many again a second as
 * with 8, and one client takes half of what a keeper serves at a time.
 */
export const filesAtOnce = 32;

/** What fits a message; a longer one has up to 4 chunks on their way and counts as 4. */
const smallBytes = 1024 * 1024;
const largeCost = 4;

export function isSmall(sizeBytes: number): boolean {
  return sizeBytes <= smallBytes;
}

/** The part of `filesAtOnce` that a file of this size takes: 32 small files, or 8 large ones, or some of each. */
export function costOf(sizeBytes: number): number {
  return isSmall(sizeBytes) ? 1 : largeCost;
}

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
