/** Many small waits at a time, and not too many: the order of starting is that of the items. */

/** File operations at a time for one request: enough to keep a disk busy, few beside the thread pool's 16. */
export const parallelOperations = 8;

/**
 * Runs `work` over `items`, at most `width` at a time. Resolves to the results in order; after a rejection no
 * further item is started.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next;
      next += 1;
      try {
        results[index] = await work(items[index] as T);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}
