/** The check of the whole cluster (check/cluster-check.ts) as a job: a page a step. */
import type { CheckCursor, ClusterCheck } from '../check/cluster-check.js';
import { keepWorst } from '../check/finding.js';
import type { Job, JobRunner, JobStep } from './job.js';

export class Check implements JobRunner {
  readonly kind = 'check';
  readonly #check: ClusterCheck;

  constructor(check: ClusterCheck) {
    this.#check = check;
  }

  async step(job: Job): Promise<JobStep> {
    const from = job.cursor as CheckCursor | null;
    const { cursor, findings, progress, nextInMs } = await this.#check.step(from ?? undefined);
    return {
      cursor: cursor ?? null,
      findings: keepWorst(job.findings, findings),
      findingsTotal: job.findingsTotal + findings.length,
      done: progress.chunksChecked,
      expected: progress.chunksExpected,
      text: progress.text,
      ...(cursor ? { more: nextInMs === 0 } : { ended: 'done' }),
    };
  }
}
