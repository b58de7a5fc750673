/** `client status`: how the cluster stands. */
import type { ClusterStatus, KeeperStatus } from '../../ports/cluster-status.js';
import type { CommandSpec } from '../command.js';
import { countWords, durationWords, sizeWords } from '../words.js';

export const statusCommand: CommandSpec = {
  name: 'status',
  synopsis: '',
  describe: 'Show how the cluster stands',
  options: {},
  examples: [['status --json', 'for programs']],
  minPaths: 0,
  maxPaths: 0,
  async run({ report, signal, connect }) {
    const status = await (await connect()).status({ signal });
    report.result(words(status), status);
    return 0;
  },
};

function words(status: ClusterStatus): string {
  const { files, directories, logicalBytes, chunks, chunksBelowPolicy, chunksUnreadable, defaultPolicy } =
    status;
  const copies = `${defaultPolicy.pieces} copies, ${defaultPolicy.minWrite} before an upload returns`;
  const lines = [
    status.summary,
    '',
    `${countWords(files, 'file')} in ${directories} directories, ${sizeWords(logicalBytes)}; by default ${copies}`,
    `${countWords(chunks, 'chunk')}, ${chunksBelowPolicy} below policy` +
      (chunksUnreadable > 0 ? `, ${chunksUnreadable} of them unreadable now` : '') +
      (status.repairsInFlight > 0 ? `; ${status.repairsInFlight} being copied` : ''),
  ];
  if (status.metadataRegressed) {
    lines.push('The tracker serves reads only: its keepers have seen later metadata than it has.');
  }
  return [...lines, '', ...table(status.keepers)].join('\n');
}

function table(keepers: readonly KeeperStatus[]): string[] {
  if (keepers.length === 0) return ['No keepers. Start one: data-keeper --data-dir DIR --tracker HOST:PORT'];
  const rows = [
    ['KEEPER', 'ADDRESS', 'ZONE', 'STATE', 'USED', 'FREE', 'COPIES', 'HEARD'],
    ...keepers.map((keeper) => [
      keeper.keeperId.slice(0, 8),
      keeper.address,
      keeper.zone || '-',
      `${keeper.state}${keeper.draining ? ' (draining)' : ''}${keeper.storageError === '' ? '' : ' (takes no writes)'}`,
      sizeWords(keeper.usedBytes),
      sizeWords(keeper.freeBytes),
      String(keeper.pieces),
      keeper.lastHeartbeatAgeMs === undefined ? 'never' : `${durationWords(keeper.lastHeartbeatAgeMs)} ago`,
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const troubles = keepers
    .filter(({ storageError }) => storageError !== '')
    .map(({ keeperId, storageError }) => `${keeperId.slice(0, 8)}: ${storageError}`);
  return [...lines, ...troubles];
}
