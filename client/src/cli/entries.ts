/** Entries as several verbs look at them. */
import { HoldfastError, hasCode } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import type { Entry } from '../ports/tracker-api.js';

/** The entry itself, and if it is a directory what is below it, `depth` levels of it. */
export async function* withAllBelow(
  client: HoldfastClient,
  path: string,
  { depth = Infinity, signal }: { readonly depth?: number; readonly signal: AbortSignal },
): AsyncGenerator<Entry, void, undefined> {
  const top = await client.stat(path, { signal });
  yield top;
  if (top.type === 'directory' && depth >= 1) yield* client.list(path, { depth, signal });
}

/** What is there; undefined for nothing. @throws HoldfastError NOT_A_DIRECTORY for a path below a file … */
export async function entryAt(
  client: HoldfastClient,
  path: string,
  signal: AbortSignal,
): Promise<Entry | undefined> {
  return client.stat(path, { signal }).catch((error: unknown) => {
    if (hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  });
}

/** For a directory where a file is to be read. */
export function noFile(path: string): HoldfastError {
  return new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(path)} is a directory`, {
    remedy: 'Name a file in it; `client ls` lists them.',
  });
}
