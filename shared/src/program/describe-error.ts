/**
 * What a program that cannot go on tells the person who started it: what happened, why, and what to do. No
 * stack: it says nothing to an operator. `HOLDFAST_DEBUG=1` brings it back for us.
 */
import { inspect } from 'node:util';
import { errnoOf, exitStatusOf, fromErrno, HoldfastError } from '../errors/index.js';

// As in log-format: deeper chains of causes are loops.
const maxCauses = 6;

/** The lines to print, and the status to end with. */
export function describeError(
  program: string,
  error: unknown,
  options: { readonly debug: boolean },
): { readonly text: string; readonly status: number } {
  const known = errnoOf(error) === undefined ? error : fromErrno(error, 'the operating system refused');
  const message = error instanceof Error ? error.message : inspect(error);
  const lines = [`${program}: ${message === '' ? 'failed without a message' : message}`];
  let told = message;
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && depth < maxCauses; depth++) {
    const reason = cause instanceof Error ? cause.message : inspect(cause);
    // Wrappers often quote what they wrap; saying it twice helps nobody.
    if (!told.includes(reason)) lines.push(`  cause: ${reason}`);
    told += reason;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  if (HoldfastError.is(known)) {
    if (known.remedy !== '') lines.push(`  what to do: ${known.remedy}`);
  } else if (!options.debug) {
    lines.push(
      '  what to do: this looks like a defect in Holdfast; run it again with HOLDFAST_DEBUG=1 to see where.',
    );
  }
  if (options.debug && error instanceof Error && error.stack !== undefined) lines.push(error.stack);
  return { text: `${lines.join('\n')}\n`, status: exitStatusOf(known) };
}
