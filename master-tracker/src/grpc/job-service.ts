/** The part of ClusterService that begins, shows and ends jobs, and takes care of single keepers. */
import type { ClusterServiceHandlers, Job as JobMessage } from '@holdfast/proto';
import { HoldfastError, type Logger, checkId, checkRequestId } from '@holdfast/shared';
import { checkAtMost, checkInteger, unary, wireText } from '@holdfast/shared/grpc';
import type { KeeperCare } from '../registry/keeper-care.js';
import type { JobView, Jobs } from '../jobs/jobs.js';

export interface JobServiceParts {
  readonly jobs: Jobs;
  readonly keeperCare: KeeperCare;
  readonly logger: Logger;
}

/** As the contract says. */
const defaultPageSize = 100;
const maxPageSize = 1_000;
/** As many keepers as a tracker takes: all of them may be named one by one. */
const maxKeepersNamed = 10_000;

type JobHandlers = Pick<
  ClusterServiceHandlers,
  | 'DrainKeeper'
  | 'RebalanceCluster'
  | 'ScrubKeepers'
  | 'CheckCluster'
  | 'ListJobs'
  | 'GetJob'
  | 'CancelJob'
  | 'SetMaintenance'
  | 'ForgetKeeper'
>;

export function jobHandlers({ jobs, keeperCare, logger }: JobServiceParts): JobHandlers {
  return {
    DrainKeeper: unary(async ({ keeperId, requestId }) => {
      const keeperIds = [checkId(keeperId, 'keeper_id')];
      return { jobId: await jobs.begin('drain', keeperIds, checkRequestId(requestId)) };
    }, logger),
    RebalanceCluster: unary(
      async ({ requestId }) => ({ jobId: await jobs.begin('rebalance', [], checkRequestId(requestId)) }),
      logger,
    ),
    ScrubKeepers: unary(async (request) => {
      const keeperIds = checkAtMost(request.keeperIds, maxKeepersNamed, 'keeper_ids').map((keeperId) =>
        checkId(keeperId, 'keeper_ids'),
      );
      return { jobId: await jobs.begin('scrub', keeperIds, checkRequestId(request.requestId)) };
    }, logger),
    CheckCluster: unary(
      async ({ requestId }) => ({ jobId: await jobs.begin('check', [], checkRequestId(requestId)) }),
      logger,
    ),
    ListJobs: unary(async ({ pageSize, pageToken }) => {
      const size = Math.min(pageSize || defaultPageSize, maxPageSize);
      const page = await jobs.list(size, readPageToken(pageToken));
      const last = page.length < size ? undefined : page.at(-1);
      return {
        jobs: page.map((job) => writeJob({ ...job, findings: [] })),
        nextPageToken: last ? String(last.startedTransactionId) : '',
      };
    }, logger),
    GetJob: unary(async ({ jobId }) => ({ job: writeJob(await jobs.get(checkId(jobId, 'job_id'))) }), logger),
    CancelJob: unary(
      async ({ jobId }) => ({ job: writeJob(await jobs.cancel(checkId(jobId, 'job_id'))) }),
      logger,
    ),
    SetMaintenance: unary(async ({ keeperId, durationMs, requestId }) => {
      const duration = checkInteger(durationMs, 'duration_ms');
      await keeperCare.setMaintenance(checkId(keeperId, 'keeper_id'), duration, checkRequestId(requestId));
      return {};
    }, logger),
    ForgetKeeper: unary(async ({ keeperId, requestId }) => {
      await keeperCare.forget(checkId(keeperId, 'keeper_id'), checkRequestId(requestId));
      return {};
    }, logger),
  };
}

const kinds = {
  drain: 'JOB_KIND_DRAIN',
  rebalance: 'JOB_KIND_REBALANCE',
  scrub: 'JOB_KIND_SCRUB',
  check: 'JOB_KIND_CHECK',
} as const;

const states = {
  running: 'JOB_STATE_RUNNING',
  done: 'JOB_STATE_DONE',
  cancelled: 'JOB_STATE_CANCELLED',
  failed: 'JOB_STATE_FAILED',
} as const;

function writeJob(job: JobView): JobMessage {
  const { endedAtUnixMs, remainingMs } = job;
  return {
    jobId: job.jobId,
    kind: kinds[job.kind],
    state: states[job.state],
    keeperIds: [...job.keeperIds],
    startedAtUnixMs: job.startedAtUnixMs,
    ...(endedAtUnixMs !== undefined && { endedAtUnixMs }),
    done: job.done,
    expected: job.expected,
    doneBytes: job.doneBytes,
    ...(remainingMs !== undefined && { remainingMs }),
    text: wireText(job.text),
    findings: job.findings.map((finding) => ({
      invariant: finding.invariant,
      subject: wireText(finding.subject),
      text: wireText(finding.text),
    })),
    findingsTotal: job.findingsTotal,
  };
}

/** Opaque to callers: the transaction that began the last job of the page before. */
function readPageToken(token: string): number {
  if (token === '') return Infinity;
  const transactionId = Number(token);
  if (/^[1-9]\d{0,15}$/.test(token) && Number.isSafeInteger(transactionId)) return transactionId;
  throw new HoldfastError('INVALID_ARGUMENT', 'page_token is not one that ListJobs gave');
}
