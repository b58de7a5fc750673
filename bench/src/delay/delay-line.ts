/**
 * One direction of a connection with a latency: bytes leave as long after they came as the line is long, in
 * order, and so does the end. Bandwidth is what the machine has; what is on the line is bounded.
 */
import type { Socket } from 'node:net';

/** More than 2 ms of anything this machine can send (3 GB/s); past it the sender waits, as for a full link. */
const maxQueuedBytes = 8 * 1024 * 1024;
/** Timers tick once a millisecond: half a tick early and half a tick late are equally wrong. */
const toleranceMs = 0.5;

interface Queued {
  readonly dueMs: number;
  /** Undefined for the end. */
  readonly bytes: Buffer | undefined;
}

/** Joins two connections by a line each way. Both need `allowHalfOpen`: an end concerns one way. */
export function joinSockets(near: Socket, far: Socket, oneWayMs: number): void {
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.setNoDelay(true);
    delayLine(one, other, oneWayMs);
    // A connection that breaks has no end to hand on; one that closed in order has, and it is on the line.
    one.on('error', () => undefined);
    one.once('close', (hadError) => {
      if (hadError || !one.readableEnded) other.destroy();
    });
  }
}

/** Carries what `from` receives to `to`, until `from` ends. */
function delayLine(from: Socket, to: Socket, delayMs: number): void {
  const queue: Queued[] = [];
  let queuedBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  const deliver = (): void => {
    clearTimeout(timer); // room may come before the time does
    timer = undefined;
    const nowMs = performance.now();
    to.cork(); // what is due together leaves together
    for (let next = queue[0]; next && next.dueMs - nowMs < toleranceMs; next = queue[0]) {
      if (to.writableNeedDrain || to.destroyed) break;
      queue.shift();
      if (next.bytes === undefined) to.end();
      else {
        queuedBytes -= next.bytes.length;
        to.write(next.bytes);
      }
    }
    to.uncork();
    if (from.isPaused() && queuedBytes < maxQueuedBytes) from.resume();
    schedule();
  };
  const schedule = (): void => {
    const [next] = queue;
    // A receiver that is full says when it is not; the time that takes counts as the line's.
    if (!next || timer || to.writableNeedDrain || to.destroyed) return;
    // Node cuts fractions off, and an early timer has to be set again for a whole tick.
    timer = setTimeout(deliver, Math.round(next.dueMs - performance.now()));
  };
  const put = (bytes: Buffer | undefined): void => {
    queue.push({ dueMs: performance.now() + delayMs, bytes });
    queuedBytes += bytes?.length ?? 0;
    if (queuedBytes >= maxQueuedBytes) from.pause();
    schedule();
  };
  from.on('data', put);
  from.once('end', () => put(undefined));
  to.on('drain', deliver);
  to.once('close', () => clearTimeout(timer));
}
