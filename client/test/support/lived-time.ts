/**
 * Time as this process has lived it: what a machine stands still for, or gives to others, counts next to nothing. So it
 * bounds what a program waits for by itself, on whatever machine.
 */
const tickMs = 10;
/** A tick that comes later than this was not the program's own wait. */
const mostPerTickMs = 5 * tickMs;

/** Runs `work`, and says beside what it came to how long it took. */
export async function livedTimeOf<T>(work: () => Promise<T>): Promise<{ result: T; livedMs: number }> {
  let livedMs = 0;
  let lastMs = performance.now();
  const tick = (): void => {
    const nowMs = performance.now();
    livedMs += Math.min(nowMs - lastMs, mostPerTickMs);
    lastMs = nowMs;
  };
  const ticking = setInterval(tick, tickMs);
  try {
    const result = await work();
    tick();
    return { result, livedMs };
  } finally {
    clearInterval(ticking);
  }
}
