/** A remote file's bytes to standard output. */
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';

/** Writes all that `bytes` gives to `output` and leaves it open. A reader that leaves ends the reading in silence. */
export async function writeOut(bytes: Readable, output: Writable): Promise<void> {
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
