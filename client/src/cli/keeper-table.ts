/** The keepers, a line each, and below what troubles them. */
import { shortId } from '../cluster/find-keeper.js';
import type { KeeperStatus } from '../ports/cluster-status.js';
import { tableLines } from './table.js';
import { countWords, durationWords, sizeWords } from './words.js';

export function keeperLines(keepers: readonly KeeperStatus[]): string[] {
  if (keepers.length === 0) return ['No keepers. Start one: data-keeper --data-dir DIR --tracker HOST:PORT'];
  const rows = [
    ['KEEPER', 'ADDRESS', 'ZONE', 'STATE', 'USED', 'FREE', 'COPIES', 'SCRUBBED', 'HEARD'],
    ...keepers.map((keeper) => [
      shortId(keeper.keeperId),
      keeper.address,
      keeper.zone || '-',
      stateWords(keeper),
      sizeWords(keeper.usedBytes),
      sizeWords(keeper.freeBytes),
      String(keeper.pieces),
      keeper.scrub ? `${keeper.scrub.scannedPieces} of ${keeper.scrub.expectedPieces}` : '-',
      keeper.lastHeartbeatAgeMs === undefined ? 'never' : `${durationWords(keeper.lastHeartbeatAgeMs)} ago`,
    ]),
  ];
  return [...tableLines(rows), ...keepers.flatMap(troubleLines), ...displacedLines(keepers)];
}

function stateWords(keeper: KeeperStatus): string {
  const notes = [
    ...(keeper.draining ? ['draining'] : []),
    ...(keeper.storageError !== '' || keeper.identityConflict !== '' ? ['takes no writes'] : []),
    ...(keeper.state === 'live' && !keeper.reported ? ['yet to report'] : []),
  ];
  return `${keeper.state}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}`;
}

function troubleLines({ keeperId, storageError, identityConflict }: KeeperStatus): string[] {
  return [storageError, identityConflict]
    .filter((trouble) => trouble !== '')
    .map((trouble) => `${shortId(keeperId)}: ${trouble}`);
}

/** Another keeper, which is live, answers where one with copies was: told beside both, as the tracker cannot know why. */
function displacedLines(keepers: readonly KeeperStatus[]): string[] {
  const live = new Map(
    keepers.filter(({ state }) => state === 'live').map(({ address, keeperId }) => [address, keeperId]),
  );
  return keepers.flatMap(({ keeperId, address, state, pieces }) => {
    const inPlace = state !== 'live' && pieces > 0 ? live.get(address) : undefined;
    if (inPlace === undefined) return [];
    return [
      `${shortId(inPlace)}: is at ${address}, where ${shortId(keeperId)} with ${countWords(pieces, 'piece')} was. ` +
        'If that should be the same storage, its disk is not mounted: stop the keeper, mount the disk and start it ' +
        `again. If not, forget ${shortId(keeperId)} once repair is done`,
    ];
  });
}
