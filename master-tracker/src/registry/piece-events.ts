/**
 * What is told of pieces and chunks. A keeper that dies with 100,000 chunks is one event; so is a disk that gives
 * one bad piece after the other: what comes within a minute of an event about a keeper's pieces is counted and told
 * with the next one.
 */
import type { Clock } from '@holdfast/shared';
import type { EventLog, NewEvent } from '../events/event-log.js';
import { plural } from '../events/words.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import type { Unreadable } from './pieces.js';

/** Two events a minute for a keeper at most: its worst day is a seventh of what is kept. */
const quietForMs = 60_000;

/** Live chunks without a piece that counts, by what took the last one; none for no chunks. */
export function lostChunks(keeperId: string, { chunks, example, atLeast = false }: Unreadable): NewEvent[] {
  if (chunks === 0) return [];
  const text = `${atLeast ? 'at least ' : ''}${plural(chunks, 'chunk')} that only this keeper had (${example}${chunks > 1 ? ', …' : ''}) cannot be read now`;
  return [{ kind: 'chunk-lost', subject: keeperId, text }];
}

/** Such chunks that have one again. */
export function foundChunks(keeperId: string, { chunks, example, atLeast = false }: Unreadable): NewEvent[] {
  if (chunks === 0) return [];
  const text = `${atLeast ? 'at least ' : ''}${plural(chunks, 'chunk')} that nobody had (${example}${chunks > 1 ? ', …' : ''}) can be read again: this keeper has ${chunks === 1 ? 'it' : 'them'}`;
  return [{ kind: 'chunk-found', subject: keeperId, text }];
}

/** A full report that lacks pieces, or has other bytes. */
export function badReport(keeperId: string, lost: number, mismatched: number): NewEvent[] {
  const parts = [
    ...(lost > 0 ? [`${plural(lost, 'piece is', 'pieces are')} gone from the keeper`] : []),
    ...(mismatched > 0
      ? [
          `${plural(mismatched, 'piece has', 'pieces have')} other bytes than ${mismatched === 1 ? 'its chunk' : 'their chunks'}`,
        ]
      : []),
  ];
  if (parts.length === 0) return [];
  const text = `${parts.join(', and ')}; good copies are made from other keepers`;
  return [{ kind: 'piece-bad', subject: keeperId, text }];
}

export class BadPieceEvents {
  readonly #store: MetadataStore;
  readonly #clock: Clock;
  readonly #events: EventLog;
  /** By keeper: when it may be told of next, and what was not told. One entry for a keeper in trouble. */
  readonly #quiet = new Map<string, { readonly untilMs: number; untold: number }>();

  constructor(store: MetadataStore, clock: Clock, events: EventLog) {
    this.#store = store;
    this.#clock = clock;
    this.#events = events;
  }

  /** Tells, as part of the transaction that drops them, of pieces that their keeper found bad or gone. */
  async record(
    tx: MetadataTransaction,
    keeperId: string,
    pieces: readonly { readonly chunkId: string; readonly why: string }[],
  ): Promise<void> {
    const [first] = pieces;
    if (!first) return;
    const quiet = this.#quiet.get(keeperId);
    if (quiet && this.#clock.monotonicMs() < quiet.untilMs) {
      tx.onCommit(() => (quiet.untold += pieces.length));
      return;
    }
    tx.onCommit(() => this.#beQuiet(keeperId));
    const others = pieces.length + (quiet?.untold ?? 0) - 1;
    const more = others > 0 ? `, and ${plural(others, 'other piece')}` : '';
    const text = `the keeper found its piece of chunk ${first.chunkId} bad or gone (${first.why})${more}; it does not count and is copied anew`;
    await this.#events.record(tx, { kind: 'piece-bad', subject: keeperId, text });
  }

  /** Tells what was held back, once it is time. To be called every second. */
  async tick(): Promise<void> {
    for (const [keeperId, { untilMs, untold }] of this.#quiet) {
      if (this.#clock.monotonicMs() < untilMs) continue;
      this.#quiet.delete(keeperId);
      if (untold === 0) continue;
      this.#beQuiet(keeperId);
      const text = `the keeper found ${plural(untold, 'more piece')} bad or gone; they do not count and are copied anew`;
      await this.#store.mutate((tx) =>
        this.#events.record(tx, { kind: 'piece-bad', subject: keeperId, text }),
      );
    }
  }

  #beQuiet(keeperId: string): void {
    this.#quiet.set(keeperId, { untilMs: this.#clock.monotonicMs() + quietForMs, untold: 0 });
  }
}
