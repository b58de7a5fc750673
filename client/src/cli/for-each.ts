/** Many small jobs side by side: the items are asked for one at a time, so a walk of any length stays small. */
import pLimit from 'p-limit';

/** Calls `job` for each item, at most `concurrency` at once. The first failure stops the asking and is thrown. */
export async function forEachOf<T>(
  items: AsyncGenerator<T, void, undefined>,
  concurrency: number,
  job: (item: T) => Promise<void>,
): Promise<void> {
  const oneAtATime = pLimit(1);
  let failure: { readonly error: unknown } | undefined;
  const work = async (): Promise<void> => {
    while (!failure) {
      try {
        const next = await oneAtATime(() => items.next());
        if (next.done === true) return;
        await job(next.value);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  await items.return();
  if (failure) throw failure.error;
}
