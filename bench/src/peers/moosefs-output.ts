/** What the tools say that the MooseFS contender calls, read by a program. */

/**
 * Whether `mfscheckfile` counts at least `copies` valid ones of every chunk.
 *
 * @throws Error if it says something unknown: a wait for copies must not end, or go on, by misunderstanding
 */
export function hasCopies(checkFileOutput: string, copies: number): boolean {
  const [name = '', ...lines] = checkFileOutput.trim().split('\n');
  if (!name.endsWith(':')) throw new Error(`mfscheckfile named no file: ${checkFileOutput}`);
  // An empty file has no chunks, and so no lines.
  return lines.every((line) => {
    const found = /chunks with (\d+)\+? cop(?:y|ies):/.exec(line);
    if (!found) throw new Error(`mfscheckfile said something unknown: ${line}`);
    return Number(found[1]) >= copies;
  });
}

/** @throws Error if `dd` did not say how much it copied */
export function bytesCopied(ddOutput: string): number {
  const found = /^(\d+) bytes/m.exec(ddOutput);
  if (!found) throw new Error(`dd did not say how much it copied: ${ddOutput}`);
  return Number(found[1]);
}
