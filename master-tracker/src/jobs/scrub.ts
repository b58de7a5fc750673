/**
 * Having keepers re-read their pieces from the medium now: posts the order to each, and watches until each has
 * said how it ended. What they find damaged they say in their heartbeats; repair does the rest.
 */
import type { HoldfastError } from '@holdfast/shared';
import type { KeeperState } from '../membership/lease.js';
import type { Membership } from '../membership/membership.js';
import type { TaskBoard } from '../registry/task-board.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import type { Job, JobRunner, JobStep } from './job.js';

export interface ScrubParts {
  readonly membership: Membership;
  readonly tasks: TaskBoard;
}

/** Of one keeper. */
interface Standing {
  /** Pieces that it has read, and is to read, by its last word in this job. */
  readonly scanned: number;
  readonly expected: number;
  /** How it ended: '' if well; absent while it reads. */
  readonly ended?: string;
}

type Cursor = Readonly<Record<string, Standing>>;

export class Scrub implements JobRunner {
  readonly kind = 'scrub';
  readonly #parts: ScrubParts;
  /** How scrubs ended since they were last asked for, by keeper. */
  readonly #outcomes = new Map<string, string>();

  constructor(parts: ScrubParts) {
    this.#parts = parts;
  }

  /** How earlier scrubs ended is not how this one does. */
  begin(tx: MetadataTransaction, keeperIds: readonly string[]): Promise<void> {
    tx.onCommit(() => {
      if (keeperIds.length === 0) this.#outcomes.clear();
      for (const keeperId of keeperIds) this.#outcomes.delete(keeperId);
    });
    return Promise.resolve();
  }

  /** A keeper has said how its scrub ended. */
  taskEnded(keeperId: string, error: HoldfastError | undefined): void {
    this.#outcomes.set(keeperId, error?.message ?? '');
  }

  step(job: Job): Promise<JobStep> {
    const { membership, tasks } = this.#parts;
    const before = (job.cursor as Cursor | null) ?? {};
    const all = job.keeperIds.length > 0 ? job.keeperIds : membership.list().map((each) => each.keeperId);
    const standings: Record<string, Standing> = {};
    for (const keeperId of all) {
      const keeper = membership.get(keeperId);
      const last = before[keeperId] ?? { scanned: 0, expected: 0 };
      const now = keeper?.scrub && keeper.scrub.taskId !== '' ? keeper.scrub : undefined;
      const expected = keeper?.scrub?.expectedPieces ?? last.expected;
      const ended = last.ended ?? this.#endOf(keeperId, keeper?.state);
      if (ended === undefined && keeper?.state === 'live') tasks.post(keeperId, { kind: 'scrub' });
      const scanned = ended === '' ? expected : (now?.scannedPieces ?? last.scanned);
      standings[keeperId] = { scanned, expected, ...(ended !== undefined && { ended }) };
    }
    return Promise.resolve(conclude(standings));
  }

  #endOf(keeperId: string, state: KeeperState | undefined): string | undefined {
    const outcome = this.#outcomes.get(keeperId);
    this.#outcomes.delete(keeperId);
    if (outcome !== undefined) return outcome;
    if (state === undefined) return 'the keeper is not known any more';
    return state === 'dead' ? 'the keeper is gone' : undefined;
  }
}

function conclude(standings: Cursor): JobStep {
  const all = Object.entries(standings);
  const through = all.filter(([, { ended }]) => ended !== undefined).length;
  const failed = all.filter(([, { ended = '' }]) => ended !== '');
  const progress = {
    done: all.reduce((sum, [, { scanned }]) => sum + scanned, 0),
    expected: all.reduce((sum, [, { expected }]) => sum + expected, 0),
    cursor: standings,
  };
  const how = `${through} of ${all.length} keepers have read all their pieces`;
  if (through < all.length) return { ...progress, text: how };
  if (failed.length === 0) return { ...progress, ended: 'done', text: how };
  const why = failed.slice(0, 3).map(([keeperId, { ended = '' }]) => `${keeperId}: ${ended}`);
  return {
    ...progress,
    ended: 'failed',
    text: `${failed.length} of ${all.length} keepers did not: ${why.join('; ')}`,
  };
}
