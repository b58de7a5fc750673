/** Entries for the verbs that look at whole trees. */
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
