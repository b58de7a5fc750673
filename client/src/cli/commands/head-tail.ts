/** `client head` and `client tail`: the beginning or the end of files, of which no more is fetched than needed. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { Entry } from '../../ports/tracker-api.js';
import { Batch, unanswered } from '../batch.js';
import type { CommandContext, CommandSpec, Flags } from '../command.js';
import { noFile } from '../entries.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { expandGlobs, globWords } from '../remote-globs.js';
import { firstLines, startOfLastLines } from '../lines.js';
import { writeOut } from '../write-out.js';

/** As head and tail of POSIX have it. */
const defaultLines = 10;

interface Wanted {
  readonly unit: 'lines' | 'bytes';
  readonly count: number;
}

/** The wanted part of a file; one version of it, whatever is committed meanwhile. */
type Part = (client: HoldfastClient, entry: Entry, wanted: Wanted, signal: AbortSignal) => Readable;

export const headCommand = partCommand('head', 'beginning', (client, entry, { unit, count }, signal) => {
  if (count === 0) return Readable.from([]);
  if (unit === 'bytes') return client.createReadStream(entry, { end: count - 1, signal });
  return begunWhenRead(() => firstLines(client.createReadStream(entry, { signal }), count));
});

export const tailCommand = partCommand('tail', 'end', (client, entry, { unit, count }, signal) => {
  const { sizeBytes } = entry;
  const from = (start: number): Readable => client.createReadStream(entry, { start, signal });
  if (unit === 'bytes') return from(Math.max(0, sizeBytes - count));
  const read = (start: number, end: number): Promise<Buffer> =>
    buffer(client.createReadStream(entry, { start, end: end - 1, signal }));
  return begunWhenRead(async function* lastLines() {
    yield* from(await startOfLastLines(sizeBytes, count, read));
  });
});

/** Nobody listens to a stream that waits before it is read. */
function begunWhenRead(bytes: () => AsyncIterable<Uint8Array>): Readable {
  async function* begun(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* bytes();
  }
  return Readable.from(begun(), { objectMode: false });
}

function partCommand(name: 'head' | 'tail', which: string, part: Part): CommandSpec {
  return {
    name,
    synopsis: 'REMOTE…',
    describe: `Write the ${which} of files to standard output`,
    details: `Several files get a line with their name each, unless --quiet is given. ${globWords}`,
    options: {
      lines: {
        type: 'string',
        alias: 'n',
        requiresArg: true,
        describe: 'So many lines',
        defaultDescription: String(defaultLines),
      },
      bytes: {
        type: 'string',
        alias: 'c',
        requiresArg: true,
        describe: 'So many bytes, such as 512 or 1MiB',
      },
    },
    examples: [[`${name} -n 20 /logs/today`, `the ${which} of a file`]],
    minPaths: 1,
    maxPaths: Infinity,
    run: (context) => writeParts(context, part),
  };
}

async function writeParts(context: CommandContext, part: Part): Promise<number> {
  const { paths, flags, io, report, signal, connect } = context;
  report.keepStdoutForData();
  const wanted = await wantedOf(flags);
  const asked = paths.map(remotePath);
  const client = await connect();
  const remotes = await expandGlobs(client, asked, signal);
  const batch = new Batch(report, unanswered);
  for (const [index, { path }] of remotes.entries()) {
    await batch.run({ path }, signal, async () => {
      const entry = await client.stat(path, { signal });
      if (entry.type === 'directory') throw noFile(path);
      if (remotes.length > 1 && !report.quiet) {
        io.stdout.write(`${index > 0 ? '\n' : ''}==> ${report.name(path)} <==\n`);
      }
      await writeOut(context, path, part(client, entry, wanted, signal));
    });
  }
  return batch.exitStatus;
}

async function wantedOf(flags: Flags): Promise<Wanted> {
  const { parseSize } = await import('@holdfast/shared/values');
  const lines = flagValue(flags, 'lines', wholeNumber(0, Number.MAX_SAFE_INTEGER));
  const bytes = flagValue(flags, 'bytes', parseSize);
  if (bytes === undefined) return { unit: 'lines', count: lines ?? defaultLines };
  if (lines === undefined) return { unit: 'bytes', count: bytes };
  throw new HoldfastError('INVALID_ARGUMENT', '--lines and --bytes exclude each other', {
    remedy: 'Give one of them.',
  });
}
