/**
 * What happened in the cluster, for operators: keepers that came and went, repair that began and ended, pieces that
 * were found bad, jobs.
 *
 * The failure it answers: after a bad night nobody can tell what the system did and why, because it is spread over
 * the logs of machines, of which some are gone. So what matters is written down in the transaction that does it: an
 * event is there if and only if what it tells of happened.
 */
import type { Clock } from '@holdfast/shared';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';

/** A closed set, in docs/operations/events.md with what each one says; a test compares the two. */
export const eventKinds = [
  'keeper-joined',
  'keeper-live',
  'keeper-suspect',
  'keeper-dead',
  'keeper-maintenance',
  'storage-replaced',
  'keeper-displaced',
  'repair-started',
  'repair-finished',
  'chunk-lost',
  'chunk-found',
  'piece-bad',
  'metadata-regressed',
  'tracker-started',
  'keeper-forgotten',
  'job-started',
  'job-finished',
  'job-cancelled',
  'job-failed',
  'trash-shortened',
  'identity-conflict',
  'identity-conflict-over',
  'unknown-pieces-held',
  'repair-braked',
  'repair-released',
] as const;
export type EventKind = (typeof eventKinds)[number];

export interface NewEvent {
  readonly kind: EventKind;
  /** The keeper, chunk or job that it is about; '' for the cluster. */
  readonly subject: string;
  /** What happened, for people, in a sentence without the full stop. At most 1,024 characters are kept. */
  readonly text: string;
}

export interface ClusterEvent extends Omit<NewEvent, 'kind'> {
  /** Grows with every event; never reused. */
  readonly eventId: number;
  /** By the tracker's wall clock, for display only. */
  readonly atUnixMs: number;
  /** One of eventKinds, or one of a later version's. */
  readonly kind: string;
}

/** Of a text, in characters: a long path and what happened to it. */
const maxTextLength = 1_024;
/** About 5 MB; a cluster in trouble writes some hundred a day. */
const retainedEvents = 20_000;

export class EventLog {
  readonly #store: MetadataStore;
  readonly #clock: Clock;

  constructor(store: MetadataStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Writes an event down as part of a transaction; the oldest goes once there are too many. */
  async record(tx: MetadataTransaction, event: NewEvent): Promise<void> {
    const newest = await tx.db
      .selectFrom('events')
      .select(({ fn }) => fn.max<number | null>('event_id').as('event_id'))
      .executeTakeFirstOrThrow();
    const eventId = (newest.event_id ?? 0) + 1;
    await tx.db
      .insertInto('events')
      .values({
        event_id: eventId,
        at_unix_ms: this.#clock.wallMs(),
        kind: event.kind,
        subject: event.subject,
        text: event.text.toWellFormed().slice(0, maxTextLength),
      })
      .execute();
    await tx.db
      .deleteFrom('events')
      .where('event_id', '<=', eventId - retainedEvents)
      .execute();
  }

  /** Up to `limit` events before `beforeEventId` (of all: Infinity), the latest first. */
  latest(limit: number, beforeEventId: number): Promise<ClusterEvent[]> {
    return this.#read('desc', limit, beforeEventId);
  }

  /** Up to `limit` events after `afterEventId`, the oldest first. */
  after(limit: number, afterEventId: number): Promise<ClusterEvent[]> {
    return this.#read('asc', limit, afterEventId);
  }

  async #read(order: 'asc' | 'desc', limit: number, from: number): Promise<ClusterEvent[]> {
    const rows = await this.#store.read(({ db }) =>
      db
        .selectFrom('events')
        .selectAll()
        .where('event_id', order === 'asc' ? '>' : '<', Math.min(from, Number.MAX_SAFE_INTEGER))
        .orderBy('event_id', order)
        .limit(limit)
        .execute(),
    );
    return rows.map(({ event_id, at_unix_ms, kind, subject, text }) => ({
      ...{ eventId: event_id, atUnixMs: at_unix_ms, kind, subject, text },
    }));
  }
}
