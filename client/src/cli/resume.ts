/** What the command line says of transfers that can be gone on with. */
import type { ResumeNotice } from '../core/resume.js';
import type { Reporter } from './reporter.js';
import { sizeWords } from './words.js';

/** Flags of such transfers. */
export const resumeOptions = {
  resume: {
    type: 'boolean',
    default: true,
    describe: 'Go on where an interrupted transfer was; --no-resume begins anew',
  },
} as const;

/** Says on standard error what becomes of a transfer; `done` is what has been done with the bytes that are there. */
export function resumeTeller(report: Reporter, done: string): (notice: ResumeNotice) => void {
  return (notice) => {
    const name = report.name(notice.path);
    if (notice.kind === 'resumed') {
      const { storedBytes, totalBytes } = notice;
      if (report.quiet) return;
      report.warn(`${name}: going on; ${sizeWords(storedBytes)} of ${sizeWords(totalBytes)} ${done} before`);
    } else if (notice.kind === 'kept') {
      const percent = Math.floor((100 * notice.storedBytes) / Math.max(1, notice.totalBytes));
      report.warn(`${name}: the same command goes on where it was (${percent}% ${done})`);
    } else if (notice.kind === 'in-use') {
      report.warn(`${name}: another process is at it; this one starts anew and leaves nothing to go on with`);
    } else if (notice.kind === 'source-changed') {
      report.warn(
        `${name}: what was interrupted was another file, or this one before it changed: starting anew`,
      );
    } else if (notice.kind === 'not-recorded') {
      report.debug(`${name}: cannot be gone on with after an interruption: ${notice.reason}`);
    }
  };
}
