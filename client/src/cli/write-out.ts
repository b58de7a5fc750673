/** A remote file's bytes to standard output. */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { CommandContext } from './command.js';

/** No bar shows that nothing comes: long enough for a keeper that is slow, short enough for a person who waits. */
const patienceMs = 5_000;

/**
 * Writes all that `bytes` gives to standard output and leaves it open. A reader that leaves ends the reading in
 * silence. Says so each time that no bytes come for a while though the reader would take them.
 */
export async function writeOut(
  { io, report }: Pick<CommandContext, 'io' | 'report'>,
  path: string,
  bytes: Readable,
): Promise<void> {
  const output = io.stdout;
  let readerGone = false;
  const onError = (): void => {
    readerGone = true;
    bytes.destroy();
  };
  const silence = setTimeout(() => {
    // Paused while the reader takes nothing; he is waited for as long as he likes.
    if (report.quiet || bytes.isPaused()) return;
    const hint = `${io.program} explain shows which keepers have them`;
    report.warn(`still waiting for bytes of ${JSON.stringify(path)} (${hint})`);
  }, patienceMs);
  bytes.on('data', () => silence.refresh()).on('resume', () => silence.refresh());
  output.once('error', onError);
  try {
    bytes.pipe(output, { end: false });
    await finished(bytes, { writable: false });
  } catch (error) {
    if (!readerGone) throw error;
  } finally {
    clearTimeout(silence);
    output.off('error', onError);
  }
}
