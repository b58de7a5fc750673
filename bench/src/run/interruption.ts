/** Giving up on what cannot be told to stop: a trial in the middle of a call to one of its processes. */

/** What `promise` resolves to, unless the signal comes before. What it does goes on; its own end is not told. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  // When the processes that it needs end, it fails, and has nobody left to tell.
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
