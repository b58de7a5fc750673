/** Tests wait for conditions, never for time. */

/**
 * It only ends what would never come: most take less than a second, and a machine that has other work ten times as long,
 * with pauses of ten seconds.
 */
const usualLimitMs = 90_000;

/**
 * Asks `condition` until it answers something truthy, and returns that.
 *
 * @throws Error that names `what` after `limitMs`, with the last error if there was one
 */
export async function waitFor<T>(
  what: string,
  condition: () => Promise<T> | T,
  limitMs = usualLimitMs,
): Promise<NonNullable<T>> {
  const untilMs = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    const askedMs = performance.now();
    try {
      const answer = await condition();
      if (answer) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    const nowMs = performance.now();
    if (nowMs > untilMs) {
      throw new Error(`waited ${limitMs} ms in vain for ${what}; last: ${String(last)}`, { cause: last });
    }
    // A question that is dear, as a command, is not to take what it asks about its time.
    const pauseMs = Math.max(50, nowMs - askedMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
