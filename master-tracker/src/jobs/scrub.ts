/**
 * Having keepers re-read their pieces from the medium now: posts the order to each, and watches until each has
 * said how it ended. What they find damaged they say in their heartbeats; repair does the rest.
 */
import type { HoldfastError } from '@holdfast/shared';
import type { Membership } from '../membership/membership.js';
import type { TaskBoard } from '../registry/task-board.js';
import type { MetadataStore } from '../store/metadata-store.js';
import type { Job, JobRunner, JobStep } from './job.js';

export interface ScrubParts {
  readonly store: MetadataStore;
  readonly membership: Membership;
  readonly tasks: TaskBoard;
}

interface Cursor {
  /** How the keepers that are through ended: '' if well. */
  readonly ended: Readonly<Record<string, string>>;
  /** Pieces of those that are through. */
  readonly pieces: number;
}

export class Scrub implements JobRunner {
  readonly kind = 'scrub';
  readonly #parts: ScrubParts;
  /** How scrubs ended since they were last asked for, by keeper. */
  readonly #outcomes = new Map<string, string>();

  constructor(parts: ScrubParts) {
    this.#parts = parts;
  }

  /** A keeper has said how its scrub ended. */
  taskEnded(keeperId: string, error: HoldfastError | undefined): void {
    this.#outcomes.set(keeperId, error?.message ?? '');
  }

  async step(job: Job): Promise<JobStep> {
    const { membership, tasks } = this.#parts;
    const cursor = (job.cursor as Cursor | null) ?? { ended: {}, pieces: 0 };
    const ended = { ...cursor.ended };
    const all = job.keeperIds.length > 0 ? job.keeperIds : membership.list().map((each) => each.keeperId);
    const pieces = await this.#pieces(all);
    let donePieces = 0;
    for (const keeperId of all) {
      const outcome = this.#outcomes.get(keeperId);
      if (ended[keeperId] === undefined && outcome !== undefined) ended[keeperId] = outcome;
      const state = membership.get(keeperId)?.state;
      if (state === undefined) ended[keeperId] ??= 'the keeper is not known any more';
      if (state === 'dead') ended[keeperId] ??= 'the keeper is gone';
      if (ended[keeperId] !== undefined) donePieces += pieces.get(keeperId) ?? 0;
      else if (state === 'live') tasks.post(keeperId, { kind: 'scrub' });
    }
    for (const keeperId of all) if (ended[keeperId] !== undefined) this.#outcomes.delete(keeperId);
    const failed = all.filter((keeperId) => (ended[keeperId] ?? '') !== '');
    const through = all.filter((keeperId) => ended[keeperId] !== undefined).length;
    const expected = [...pieces.values()].reduce((sum, each) => sum + each, 0);
    const progress = {
      done: Math.min(donePieces, expected),
      expected,
      cursor: { ended, pieces: donePieces },
    };
    const how = `${through} of ${all.length} keepers have read all their pieces`;
    if (through < all.length) return { ...progress, text: how };
    if (failed.length === 0) return { ...progress, ended: 'done', text: how };
    const why = failed.slice(0, 3).map((keeperId) => `${keeperId}: ${ended[keeperId] ?? ''}`);
    return {
      ...progress,
      ended: 'failed',
      text: `${failed.length} of ${all.length} keepers did not: ${why.join('; ')}`,
    };
  }

  /** How many pieces each keeper is to read. */
  async #pieces(keeperIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.#parts.store.read(({ db }) =>
      db
        .selectFrom('pieces')
        .select(({ fn }) => ['keeper_id', fn.countAll<number>().as('pieces')])
        .where('state', '=', 'durable')
        .groupBy('keeper_id')
        .execute(),
    );
    const wanted = new Set(keeperIds);
    return new Map(rows.filter((row) => wanted.has(row.keeper_id)).map((row) => [row.keeper_id, row.pieces]));
  }
}
