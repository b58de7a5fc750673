/**
 * Watching the namespace: one iterator over as many calls as it takes.
 *
 * The failure it answers: a tracker that restarts, or a connection that dies without a word, between two changes. Every
 * message says where to go on, so the next call begins there: no change is missed and none comes twice.
 */
import { HoldfastError, splitPath, throwIfCancelled } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { asking, repeatable } from '../core/retrying.js';
import { Watchdog } from '../core/watchdog.js';
import type { EntryChange, WatchMessage, WatchRequest } from '../ports/watch.js';
import type { CallSignal } from './namespace.js';

type Tools = Pick<ClientContext, 'tracker' | 'clock' | 'random'>;

export interface WatchOptions extends CallSignal {
  /** Goes on after this one: of a change, of `watchCursor`, or of `onCursor`. Default: begins now. */
  readonly cursor?: string;
  /** Also what is below the directories in it. Default true. */
  readonly recursive?: boolean;
  /**
   * Told how far the watch has come while there are no changes to tell, every few seconds and first when it begins. All
   * that came before was handed out: keep it in the place of the last change's.
   */
  readonly onCursor?: (cursor: string) => void;
}

/** Without the first word for so long, another attempt is made. */
const firstWordMs = 10_000;
/** One message may be late, two may be lost with a pause of the tracker. */
const silentHeartbeats = 3;
/** Below this a pause of either side would look like silence. */
const minSilenceMs = 1_000;
/** A call is left for the next one after this time, and has the deadline that every call has some way behind it. */
const renewMs = 600_000;
const deadlineMs = 2 * renewMs;
/** All that watch lose their tracker at once, and need not be back at once. */
const spreadMs = 500;

/** The cursor of now: everything that is committed later comes after it. */
export async function watchCursor(tools: Tools, { signal }: CallSignal = {}): Promise<string> {
  const request = { path: '/', cursor: '', shallow: true };
  const { call, first } = await asking(tools, signal, () => begin(tools, request, signal));
  await call.end();
  return first.cursor;
}

/** The changes at and below a path, for ever. */
export async function* watch(
  tools: Tools,
  path: string,
  { signal, cursor = '', recursive = true, onCursor }: WatchOptions = {},
): AsyncGenerator<EntryChange, never, undefined> {
  splitPath(path);
  const { clock, random } = tools;
  const mayRepeat = repeatable();
  /** undefined if another call is to go on. */
  const nextOf = async (call: WatchCall): Promise<WatchMessage | undefined> => {
    try {
      return await call.next();
    } catch (error) {
      throwIfCancelled(signal);
      if (!HoldfastError.is(error) || !(wasCutOff(error) || mayRepeat(error))) throw error;
      await clock.sleep(random.fraction() * spreadMs, { signal }).catch(() => throwIfCancelled(signal));
      return undefined;
    }
  };
  let last = cursor;
  for (;;) {
    const request = { path, cursor: last, shallow: !recursive };
    const { call, first } = await asking(tools, signal, () => begin(tools, request, signal));
    const renewAtMs = clock.monotonicMs() + renewMs;
    try {
      let message: WatchMessage | undefined = first;
      while (message) {
        last = message.kind === 'change' ? message.change.cursor : message.cursor;
        if (message.kind === 'change') yield message.change;
        else onCursor?.(last);
        message = clock.monotonicMs() < renewAtMs ? await nextOf(call) : undefined;
      }
    } finally {
      await call.end();
    }
  }
}

/** A call that has said its first word. */
async function begin(
  tools: Tools,
  request: WatchRequest,
  signal: AbortSignal | undefined,
): Promise<{ readonly call: WatchCall; readonly first: Extract<WatchMessage, { kind: 'cursor' }> }> {
  const call = new WatchCall(tools, request, signal);
  try {
    const first = await call.next();
    if (first.kind === 'cursor') return { call, first };
    throw new HoldfastError('INTERNAL', 'the tracker began a watch without a cursor');
  } catch (error) {
    await call.end();
    throw error;
  }
}

/** One call, given up when nothing is heard of it for longer than it said. */
class WatchCall {
  readonly #watchdog: Watchdog;
  readonly #messages: AsyncIterator<WatchMessage>;
  #silenceMs = firstWordMs;

  constructor({ tracker, clock }: Tools, request: WatchRequest, signal: AbortSignal | undefined) {
    this.#watchdog = new Watchdog(clock, signal);
    const options = { signal: this.#watchdog.signal, deadlineMs };
    this.#messages = tracker.watchEntries(request, options)[Symbol.asyncIterator]();
  }

  async next(): Promise<WatchMessage> {
    this.#watchdog.expect(this.#silenceMs, () => silent());
    try {
      const answer = await this.#messages.next();
      if (answer.done === true) throw new HoldfastError('UNAVAILABLE', 'the tracker ended the watch');
      const message = answer.value;
      if (message.kind === 'cursor') {
        this.#silenceMs = Math.max(minSilenceMs, silentHeartbeats * message.heartbeatIntervalMs);
      }
      return message;
    } finally {
      this.#watchdog.rest();
    }
  }

  async end(): Promise<void> {
    this.#watchdog.stop();
    await this.#messages.return?.();
  }
}

function silent(): HoldfastError {
  return new HoldfastError('DEADLINE_EXCEEDED', 'the tracker said nothing about a watch for too long');
}

/** A tracker that stops while a message waits cannot say more than that it was too much. */
function wasCutOff({ code }: HoldfastError): boolean {
  return code === 'LIMIT_EXCEEDED';
}
