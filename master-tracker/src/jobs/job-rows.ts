/** Jobs in the metadata. */
import type { MetadataSnapshot, MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { JobsTable } from '../store/schema.js';
import { type CheckFinding, maxFindingsKept } from '../check/finding.js';
import type { Job, JobKind, JobProgress, JobState } from './job.js';

/** Of a text, in characters. */
const maxTextLength = 1_024;
/** Jobs that have ended and are kept to be looked at. */
const retainedJobs = 1_000;

function jobOf(row: JobsTable): Job {
  return {
    jobId: row.job_id,
    kind: row.kind as JobKind,
    state: row.state as JobState,
    keeperIds: JSON.parse(row.keeper_ids) as string[],
    startedTransactionId: row.started_transaction_id,
    startedAtUnixMs: row.started_at_unix_ms,
    endedAtUnixMs: row.ended_at_unix_ms ?? undefined,
    done: row.done,
    expected: row.expected,
    doneBytes: row.done_bytes,
    text: row.text,
    cursor: JSON.parse(row.cursor),
    findings: JSON.parse(row.findings) as CheckFinding[],
    findingsTotal: row.findings_total,
  };
}

export async function insertJob(
  tx: MetadataTransaction,
  job: Pick<Job, 'jobId' | 'kind' | 'keeperIds' | 'startedAtUnixMs' | 'text'>,
): Promise<void> {
  await tx.db
    .insertInto('jobs')
    .values({
      job_id: job.jobId,
      kind: job.kind,
      state: 'running',
      keeper_ids: JSON.stringify(job.keeperIds),
      started_transaction_id: tx.transactionId,
      started_at_unix_ms: job.startedAtUnixMs,
      ended_at_unix_ms: null,
      done: 0,
      expected: 0,
      done_bytes: 0,
      text: job.text,
      cursor: 'null',
      findings: '[]',
      findings_total: 0,
    })
    .execute();
  const oldest = tx.db
    .selectFrom('jobs')
    .select('job_id')
    .where('state', '!=', 'running')
    .orderBy('started_transaction_id', 'desc')
    .limit(-1)
    .offset(retainedJobs);
  await tx.db.deleteFrom('jobs').where('job_id', 'in', oldest).execute();
}

export async function findJob({ db }: MetadataSnapshot, jobId: string): Promise<Job | undefined> {
  const row = await db.selectFrom('jobs').selectAll().where('job_id', '=', jobId).executeTakeFirst();
  return row && jobOf(row);
}

/** The jobs that run, the oldest first. */
export async function runningJobs(snapshot: MetadataSnapshot): Promise<Job[]> {
  return (await snapshot.run(runningRows, {})).map(jobOf);
}

const runningRows = prepare((db) =>
  db.selectFrom('jobs').selectAll().where('state', '=', 'running').orderBy('started_transaction_id'),
);

/** Up to `limit` jobs that were begun before a transaction, the latest first. */
export async function latestJobs(
  { db }: MetadataSnapshot,
  limit: number,
  beforeTransactionId: number,
): Promise<Job[]> {
  const rows = await db
    .selectFrom('jobs')
    .selectAll()
    .where('started_transaction_id', '<', Math.min(beforeTransactionId, Number.MAX_SAFE_INTEGER))
    .orderBy('started_transaction_id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(jobOf);
}

/** Writes down how a running job stands; false if it does not run any more. */
export async function updateJob(
  tx: MetadataTransaction,
  jobId: string,
  progress: Partial<JobProgress>,
  ended?: { readonly state: Exclude<JobState, 'running'>; readonly atUnixMs: number },
): Promise<boolean> {
  const { done, expected, doneBytes, text, cursor, findings, findingsTotal } = progress;
  const { numUpdatedRows } = await tx.db
    .updateTable('jobs')
    .set({
      ...(done !== undefined && { done }),
      ...(expected !== undefined && { expected }),
      ...(doneBytes !== undefined && { done_bytes: doneBytes }),
      ...(text !== undefined && { text: text.toWellFormed().slice(0, maxTextLength) }),
      ...(cursor !== undefined && { cursor: JSON.stringify(cursor) }),
      ...(findings && { findings: JSON.stringify(findings.slice(0, maxFindingsKept)) }),
      ...(findingsTotal !== undefined && { findings_total: findingsTotal }),
      state: ended?.state ?? 'running',
      ...(ended && { ended_at_unix_ms: ended.atUnixMs }),
    })
    .where('job_id', '=', jobId)
    .where('state', '=', 'running')
    .executeTakeFirst();
  return Number(numUpdatedRows) > 0;
}

/** Says anew how a job that has ended stands: what it did was undone. */
export async function amendJob(tx: MetadataTransaction, jobId: string, text: string): Promise<void> {
  await tx.db.updateTable('jobs').set({ text }).where('job_id', '=', jobId).execute();
}

/** The job that runs of this kind about exactly these keepers. */
export async function runningJobOf(
  tx: MetadataSnapshot,
  kind: JobKind,
  keeperIds: readonly string[],
): Promise<Job | undefined> {
  const wanted = JSON.stringify(keeperIds);
  const row = await tx.db
    .selectFrom('jobs')
    .selectAll()
    .where('state', '=', 'running')
    .where('kind', '=', kind)
    .where('keeper_ids', '=', wanted)
    .executeTakeFirst();
  return row && jobOf(row);
}

/** The drain of a keeper that is not known any more ends. */
export async function endDrainsOf(
  tx: MetadataTransaction,
  keeperId: string,
  text: string,
  atUnixMs: number,
): Promise<void> {
  const job = await runningJobOf(tx, 'drain', [keeperId]);
  if (job) await updateJob(tx, job.jobId, { text }, { state: 'done', atUnixMs });
}

/** Pieces that their keepers give up: what left a keeper that is being emptied is credited to the job. */
export async function creditDrains(
  tx: MetadataTransaction,
  given: readonly { readonly keeperId: string; readonly lengthBytes: number }[],
): Promise<void> {
  const bytesByKeeper = new Map<string, number>();
  for (const { keeperId, lengthBytes } of given) {
    bytesByKeeper.set(keeperId, (bytesByKeeper.get(keeperId) ?? 0) + lengthBytes);
  }
  for (const [keeperId, bytes] of bytesByKeeper) {
    await tx.db
      .updateTable('jobs')
      .set((eb) => ({ done_bytes: eb('done_bytes', '+', bytes) }))
      .where('state', '=', 'running')
      .where('kind', '=', 'drain')
      .where('keeper_ids', '=', JSON.stringify([keeperId]))
      .execute();
  }
}
