/** Many small pieces of work, some at a time, each with its own time. */
import pLimit from 'p-limit';

/**
 * Does `work` for 0 to `count` - 1, at most `inFlight` at a time. Resolves to how long each took from its own
 * start, in milliseconds.
 */
export async function timed(
  count: number,
  inFlight: number,
  work: (index: number) => Promise<void>,
): Promise<Float64Array> {
  const ms = new Float64Array(count);
  await pLimit(inFlight).map(Array.from({ length: count }).keys(), async (index) => {
    const startMs = performance.now();
    await work(index);
    ms[index] = performance.now() - startMs;
  });
  return ms;
}
