/**
 * The operators' jobs: begun, listed, cancelled, and stepped one after the other by a worker.
 *
 * The promise: a job that was answered for is on stable storage and goes on after a restart; it ends once, in the
 * transaction that says so in the event log; a job that cannot go on says why and goes on by itself when it can.
 */
import { type Clock, HoldfastError, type Logger, type Random, newId } from '@holdfast/shared';
import type { RegressionGuard } from '../cluster/regression.js';
import type { EventKind, EventLog } from '../events/event-log.js';
import { once } from '../requests/requests.js';
import type { MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import type { Job, JobKind, JobRunner, JobStep } from './job.js';
import {
  amendJob,
  findJob,
  insertJob,
  latestJobs,
  runningJobOf,
  runningJobs,
  updateJob,
} from './job-rows.js';
import { Pace } from './pace.js';

/** Each costs a step a second. An operator who drains more keepers at once than this drains a cluster. */
const maxRunningJobs = 100;

export interface JobsParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly guard: RegressionGuard;
  readonly events: EventLog;
  readonly runners: readonly JobRunner[];
  /** Called when a job was begun or cancelled. */
  readonly onChange: () => void;
}

/** A job with what is known of it now only. */
export interface JobView extends Job {
  /** An estimate; undefined if there is nothing to go by or the job has ended. */
  readonly remainingMs: number | undefined;
}

export class Jobs {
  readonly #parts: JobsParts;
  readonly #runners: ReadonlyMap<JobKind, JobRunner>;
  /** Of running jobs, by id. */
  readonly #paces = new Map<string, Pace>();

  constructor(parts: JobsParts) {
    this.#parts = parts;
    this.#runners = new Map(parts.runners.map((runner) => [runner.kind, runner]));
  }

  /**
   * Begins a job, or answers with the one that runs already for the same keepers (a scrub or drain of the same
   * ones, any rebalancing, any check).
   *
   * @throws HoldfastError NOT_FOUND for a keeper that is not known, LIMIT_EXCEEDED, METADATA_REGRESSED,
   *   UNIMPLEMENTED for a kind that nothing runs
   */
  async begin(kind: JobKind, keeperIds: readonly string[], requestId: string): Promise<string> {
    const { store, guard, clock, random, events, onChange } = this.#parts;
    const runner = this.#runner(kind);
    guard.assertWritable();
    const sorted = [...new Set(keeperIds)].sort();
    const jobId = await once(store, { requestId, asked: ['job', kind, sorted] }, async (tx) => {
      await checkKeepers(tx, sorted);
      const running = await runningJobOf(tx, kind, sorted);
      if (running) return running.jobId;
      if ((await runningJobs(tx)).length >= maxRunningJobs) {
        throw new HoldfastError('LIMIT_EXCEEDED', `${maxRunningJobs} jobs run already`, {
          remedy: 'Wait for one to end, or cancel one.',
        });
      }
      await runner.begin?.(tx, sorted);
      const started = { jobId: newId(random), kind, keeperIds: sorted };
      await insertJob(tx, { ...started, startedAtUnixMs: clock.wallMs(), text: 'has just begun' });
      await events.record(tx, { kind: 'job-started', subject: started.jobId, text: nameOf(started) });
      return started.jobId;
    });
    onChange();
    return jobId;
  }

  /** Up to `limit` jobs that were begun before a transaction (of all: Infinity), the latest first. */
  async list(limit: number, beforeTransactionId: number): Promise<JobView[]> {
    const jobs = await this.#parts.store.read((snapshot) => latestJobs(snapshot, limit, beforeTransactionId));
    return jobs.map((job) => this.#view(job));
  }

  /** @throws HoldfastError NOT_FOUND */
  async get(jobId: string): Promise<JobView> {
    const job = await this.#parts.store.read((snapshot) => findJob(snapshot, jobId));
    if (!job) throw noSuchJob(jobId);
    return this.#view(job);
  }

  /**
   * Ends a job where it stands; one that has ended is fine. What a drain left behind, a keeper that takes no
   * pieces, is taken back either way.
   *
   * @throws HoldfastError NOT_FOUND, METADATA_REGRESSED
   */
  async cancel(jobId: string): Promise<JobView> {
    const { store, guard, clock, events, onChange } = this.#parts;
    guard.assertWritable();
    const job = await store.mutate(async (tx) => {
      const found = await findJob(tx, jobId);
      if (!found) throw noSuchJob(jobId);
      const undone = await this.#runner(found.kind).cancel?.(tx, found);
      const ended = { state: 'cancelled', atUnixMs: clock.wallMs() } as const;
      const ran = await updateJob(tx, jobId, { text: `cancelled; ${found.text}` }, ended);
      const how = undone ? `: ${undone}` : '';
      if (ran) await events.record(tx, { kind: 'job-cancelled', subject: jobId, text: nameOf(found) + how });
      if (!ran && undone) {
        await amendJob(tx, jobId, `was ${found.state}, and undone since: ${undone}`);
        const text = `${nameOf(found)}, which was ${found.state}, was undone${how}`;
        await events.record(tx, { kind: 'job-cancelled', subject: jobId, text });
      }
      return (await findJob(tx, jobId)) ?? found;
    });
    onChange();
    return this.#view(job);
  }

  /** A step of every running job; true if one of them has more to do at once. */
  async step(): Promise<boolean> {
    const { store, guard } = this.#parts;
    // Metadata that is behind what keepers have seen is no ground to move anything on.
    if (guard.regressed) return false;
    const running = await store.read(runningJobs);
    for (const jobId of this.#paces.keys()) {
      if (!running.some((job) => job.jobId === jobId)) this.#paces.delete(jobId);
    }
    let more = false;
    for (const job of running) more = (await this.#stepOne(job)) || more;
    return more;
  }

  async #stepOne(job: Job): Promise<boolean> {
    const { clock, logger } = this.#parts;
    let step: JobStep;
    try {
      step = await this.#runner(job.kind).step(job);
    } catch (error) {
      logger.warn('a job cannot go on; it is tried again', { job: job.jobId, kind: job.kind, error });
      const reason = error instanceof Error ? error.message : String(error);
      step = { text: `cannot go on now and is tried again: ${reason}` };
    }
    const pace = this.#paces.get(job.jobId) ?? new Pace();
    this.#paces.set(job.jobId, pace);
    pace.note(step.done ?? job.done, clock.monotonicMs());
    await this.#write(job, step);
    return step.ended === undefined && step.more === true;
  }

  async #write(job: Job, { ended, more: _, ...progress }: JobStep): Promise<void> {
    const { store, clock, events } = this.#parts;
    const told = Object.entries(progress) as [keyof typeof progress, unknown][];
    const isNews = told.some(([key, value]) => JSON.stringify(value) !== JSON.stringify(job[key]));
    if (!ended && !isNews) return;
    await store.mutate(async (tx) => {
      const end = ended && { state: ended, atUnixMs: clock.wallMs() };
      const ran = await updateJob(tx, job.jobId, progress, end);
      if (!ran || !ended) return;
      const kind: EventKind = ended === 'done' ? 'job-finished' : 'job-failed';
      const text = `${nameOf(job)}: ${progress.text ?? job.text}`;
      await events.record(tx, { kind, subject: job.jobId, text });
    });
  }

  #view(job: Job): JobView {
    const nowMs = this.#parts.clock.monotonicMs();
    const remainingMs =
      job.state === 'running'
        ? this.#paces.get(job.jobId)?.remainingMs(job.done, job.expected, nowMs)
        : undefined;
    return { ...job, remainingMs };
  }

  #runner(kind: JobKind): JobRunner {
    const runner = this.#runners.get(kind);
    if (runner) return runner;
    throw new HoldfastError('UNIMPLEMENTED', `this version of Holdfast does not run jobs of kind ${kind}`);
  }
}

async function checkKeepers(tx: MetadataTransaction, keeperIds: readonly string[]): Promise<void> {
  for (const keeperId of keeperIds) {
    const row = await tx.db
      .selectFrom('keepers')
      .select('keeper_id')
      .where('keeper_id', '=', keeperId)
      .executeTakeFirst();
    if (!row) throw noSuchKeeper(keeperId);
  }
}

/** What a job is, for the event log. */
function nameOf({ kind, keeperIds }: Pick<Job, 'kind' | 'keeperIds'>): string {
  return keeperIds.length === 0 ? `${kind} of the cluster` : `${kind} of ${keeperIds.join(', ')}`;
}

export function noSuchKeeper(keeperId: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `no keeper has the id ${keeperId}`, {
    remedy: 'See the list of keepers for their ids.',
    facts: { keeper_id: keeperId },
  });
}

function noSuchJob(jobId: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `no job has the id ${jobId}`, {
    remedy: 'See the list of jobs; jobs that ended long ago are forgotten.',
    facts: { job_id: jobId },
  });
}
