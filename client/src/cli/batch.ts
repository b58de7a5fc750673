/**
 * Several files of one command. One that fails is named and does not stop the others; what would fail every
 * other one too does. The exit status is that of the first failure.
 */
import { type ErrorCode, exitStatusOf } from '@holdfast/shared';
import { asHoldfastError, type Reporter } from './reporter.js';

/** Nobody answers, who would have to answer for the next one too. */
export const unanswered = ['UNAVAILABLE', 'DEADLINE_EXCEEDED'] as const;

export class Batch {
  readonly #report: Reporter;
  readonly #stopOn: ReadonlySet<ErrorCode>;
  #firstFailure: unknown;
  #failed = 0;
  files = 0;
  bytes = 0;
  skipped = 0;

  /** @param stopOn codes of failures that concern everything that would follow, beside CANCELLED */
  constructor(report: Reporter, stopOn: readonly ErrorCode[] = []) {
    this.#report = report;
    this.#stopOn = new Set<ErrorCode>(['CANCELLED', ...stopOn]);
  }

  /** Runs a job; its failure is reported, and thrown on only if it concerns all. */
  async run(
    about: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    job: () => Promise<void>,
  ): Promise<void> {
    try {
      await job();
    } catch (error) {
      const known = asHoldfastError(error);
      if (signal.aborted || this.#stopOn.has(known.code)) throw error;
      this.#failed += 1;
      this.#firstFailure ??= known;
      this.#report.failure(known, about);
    }
  }

  /** A file that is done. */
  done(sizeBytes: number): void {
    this.files += 1;
    this.bytes += sizeBytes;
  }

  /** Something that cannot be taken along. The others go on, and the status says that not all was done. */
  skip(words: string): void {
    this.skipped += 1;
    this.#report.warn(words);
  }

  get failed(): number {
    return this.#failed;
  }

  get exitStatus(): number {
    if (this.#failed > 0) return exitStatusOf(this.#firstFailure);
    return this.skipped > 0 ? 1 : 0;
  }
}
