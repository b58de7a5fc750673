/** A remote file's bytes to standard output. */
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { HoldfastClient } from '../client.js';

/** Writes all of `path` to `output` and leaves it open. A reader that leaves ends the reading in silence. */
export async function writeOut(
  client: HoldfastClient,
  path: string,
  output: Writable,
  signal: AbortSignal,
): Promise<void> {
  const bytes = client.createReadStream(path, { signal });
  let readerGone = false;
  const onError = (): void => {
    readerGone = true;
    bytes.destroy();
  };
  output.once('error', onError);
  try {
    bytes.pipe(output, { end: false });
    await finished(bytes, { writable: false });
  } catch (error) {
    if (!readerGone) throw error;
  } finally {
    output.off('error', onError);
  }
}
