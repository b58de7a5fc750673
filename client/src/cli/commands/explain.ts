/** `client explain`: where a file is, how safe it is, and what is being done about it. */
import { shortId } from '../../cluster/find-keeper.js';
import type { ExplainedChunk, ExplainedPiece } from '../../ports/inspection.js';
import type { CommandSpec } from '../command.js';
import { remotePath } from '../flag-values.js';
import { tableLines } from '../table.js';
import { copiesWords, sizeWords, timeWords } from '../words.js';

export const explainCommand: CommandSpec = {
  name: 'explain',
  synopsis: 'REMOTE',
  describe: 'Say where every piece of a file is, how it stands, and why it is there',
  details:
    'A piece counts if it is on stable storage of a keeper that is not dead. VERIFIED says when its bytes were last ' +
    'checked and by what, as far as that is known: "scrubbed since" a time if its keeper has read it again from the ' +
    'disk since then, "written" at the time when the keeper told that it had written and checked it, else "-".',
  options: {},
  examples: [
    ['explain /photos/cat.jpg', 'chunk by chunk'],
    ['explain /big.iso --json', 'for programs'],
  ],
  minPaths: 1,
  maxPaths: 1,
  async run({ paths, report, signal, connect }) {
    const { path } = remotePath(paths[0] ?? '');
    const client = await connect();
    const entry = await client.stat(path, { signal });
    const chunks: ExplainedChunk[] = [];
    if (!report.json && entry.type === 'file') {
      const copies = entry.durability ? `; ${copiesWords(entry.durability)}` : '';
      report.result(
        `${report.name(path)}: ${sizeWords(entry.sizeBytes)}, version ${entry.version}${copies}`,
        entry,
      );
    }
    for await (const chunk of client.explain(path, { signal })) {
      // One document at the end; lines as they come, so that a large file needs no memory.
      if (report.json) chunks.push(chunk);
      else report.result(['', ...chunkLines(chunk)].join('\n'), chunk);
    }
    if (report.json) report.result('', { entry, chunks });
    return 0;
  },
};

function chunkLines({ chunkId, fileOffset, lengthBytes, text, pieces }: ExplainedChunk): string[] {
  const range = `bytes ${fileOffset} to ${fileOffset + lengthBytes - 1}`;
  const rows = [
    ['  KEEPER', 'ADDRESS', 'STATE', 'PIECE', 'COUNTS', 'VERIFIED', 'WHY THERE'],
    ...pieces.map((piece) => [
      `  ${shortId(piece.keeper.keeperId)}`,
      piece.keeper.address,
      piece.keeperState,
      piece.state,
      piece.counted ? 'yes' : 'no',
      verifiedWords(piece),
      piece.placedBecause || '-',
    ]),
  ];
  return [`chunk ${chunkId}, ${range}: ${text}`, ...(pieces.length > 0 ? tableLines(rows) : [])];
}

/** By whatever came last: what was written since a round of scrubbing began may not have been read in it. */
function verifiedWords({ verifiedSinceUnixMs: scrubbed, writtenAtUnixMs: written }: ExplainedPiece): string {
  if (written !== undefined && written >= (scrubbed ?? -Infinity)) return `written ${timeWords(written)}`;
  return scrubbed === undefined ? '-' : `scrubbed since ${timeWords(scrubbed)}`;
}
