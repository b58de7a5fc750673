/** `client status`: how the cluster stands, what is being done about it, and what was not looked at. */
import type { ClusterStatus, PieceCount } from '../../ports/cluster-status.js';
import type { CommandSpec } from '../command.js';
import { keeperLines } from '../keeper-table.js';
import { tableLines } from '../table.js';
import { countWords, durationWords, sizeWords, timeWords } from '../words.js';

export const statusCommand: CommandSpec = {
  name: 'status',
  synopsis: '',
  describe: 'Show how the cluster stands, and what repair does about it',
  details:
    'The table counts every chunk once: how many copies it is to have, and how many it has on keepers that are not ' +
    'dead. What was read again from the disks, and what was not, is said by "scrub".',
  options: {},
  examples: [
    ['status', 'for people'],
    ['status --json', 'for programs'],
  ],
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
  const badlyPlaced =
    status.chunksBadlyPlaced > 0 ? `, ${status.chunksBadlyPlaced} with two copies in one zone` : '';
  const lines = [
    status.summary,
    '',
    `${countWords(files, 'file')} in ${directories} directories, ${sizeWords(logicalBytes)}; by default ${copies}`,
    `${countWords(chunks, 'chunk')}, ${chunksBelowPolicy} below policy` +
      (chunksUnreadable > 0 ? `, ${chunksUnreadable} of them unreadable now` : '') +
      (status.repairsInFlight > 0 ? `; ${status.repairsInFlight} being copied` : '') +
      badlyPlaced,
    ...matrixLines(status.pieceCounts),
    '',
    `repair: ${repairWords(status)}`,
    `scrub:  ${scrubWords(status)}`,
    `trash:  ${trashWords(status)}`,
  ];
  if (status.metadataRegressed) {
    lines.push('The tracker serves reads only: its keepers have seen later metadata than it has.');
  }
  return [...lines, '', ...keeperLines(status.keepers)].join('\n');
}

/** A line for each number of copies that chunks are to have, a column for each that they have. */
function matrixLines(counts: readonly PieceCount[]): string[] {
  if (counts.length === 0) return [];
  const goals = [...new Set(counts.map(({ policyPieces }) => policyPieces))].sort((a, b) => b - a);
  const has = [...new Set([...counts.map(({ countedPieces }) => countedPieces), ...goals])].sort(
    (a, b) => a - b,
  );
  const chunksOf = (goal: number, counted: number): number =>
    counts
      .filter(({ policyPieces, countedPieces }) => policyPieces === goal && countedPieces === counted)
      .reduce((sum, { chunks }) => sum + chunks, 0);
  return tableLines([
    ['  CHUNKS THAT', ...has.map((counted) => `HAVE ${counted}`)],
    ...goals.map((goal) => [`  want ${goal}`, ...has.map((counted) => String(chunksOf(goal, counted)))]),
  ]);
}

function repairWords({ repair }: ClusterStatus): string {
  const { bytesPerSecond, limitBytesPerSecond, remainingMs } = repair;
  const limit = limitBytesPerSecond > 0 ? ` of ${sizeWords(limitBytesPerSecond)}/s allowed` : '';
  const rate = bytesPerSecond > 0 ? [`${sizeWords(bytesPerSecond)}/s${limit}`] : [];
  const left = remainingMs === undefined ? [] : [`about ${durationWords(remainingMs)} left`];
  const pace = [...rate, ...left].join(', ');
  return `${repair.text}${pace === '' ? '' : ` ${pace.charAt(0).toUpperCase()}${pace.slice(1)}.`}`;
}

function scrubWords({ scrub, keepers }: ClusterStatus): string {
  if (!scrub)
    return 'no keeper has said that it reads its pieces again: whether they are intact is not known';
  const said = keepers.filter((keeper) => keeper.scrub).length;
  const share = scrub.expectedBytes > 0 ? Math.floor((100 * scrub.scannedBytes) / scrub.expectedBytes) : 100;
  const parts = [
    `${scrub.scannedPieces} of ${countWords(scrub.expectedPieces, 'piece')} (${share} %) read again in this round`,
    `${scrub.corruptPieces} damaged`,
  ];
  if (scrub.unreadPieces > 0) parts.push(`${scrub.unreadPieces} could not be read`);
  if (scrub.cachedPieces > 0) parts.push(`${scrub.cachedPieces} from the page cache only`);
  if (said < keepers.length)
    parts.push(`${keepers.length - said} of ${countWords(keepers.length, 'keeper')} have not said`);
  const { startedAtUnixMs, previousStartedAtUnixMs, unreadPieces } = scrub;
  if (
    startedAtUnixMs !== undefined &&
    previousStartedAtUnixMs !== undefined &&
    unreadPieces === 0 &&
    said === keepers.length
  ) {
    parts.push(
      `everything was verified since ${timeWords(Math.min(startedAtUnixMs, previousStartedAtUnixMs))}`,
    );
  }
  return parts.join(', ');
}

function trashWords({ reclaim }: ClusterStatus): string {
  const { trashedVersions, trashedBytes, piecesToReclaim, keeperTrashBytes } = reclaim;
  return (
    `${countWords(trashedVersions, 'version')} can be restored (${sizeWords(trashedBytes)}); ` +
    `${countWords(piecesToReclaim, 'piece')} to be given up, ${sizeWords(keeperTrashBytes)} in the keepers' trash`
  );
}
