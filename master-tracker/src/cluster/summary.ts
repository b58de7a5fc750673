/** The state of the cluster in a sentence that does not call anything healthy that was not looked at. */
import { plural } from '../events/words.js';
import { displacedKeepers } from '../membership/displaced.js';
import type { KeeperView } from '../membership/keeper.js';
import type { RepairStatus } from '../repair/repair-status.js';

export interface SummaryInput {
  readonly keepers: readonly (Pick<
    KeeperView,
    'keeperId' | 'address' | 'state' | 'storageError' | 'reported' | 'identityConflict'
  > & { readonly pieces: number })[];
  readonly metadataRegressed: boolean;
  readonly chunks: number;
  readonly chunksBelowPolicy: number;
  readonly chunksUnreadable: number;
  readonly chunksNotCounted: number;
  readonly chunksBadlyPlaced: number;
  readonly repair: Pick<RepairStatus, 'copiesInFlight' | 'braked' | 'safeMode' | 'blocked'>;
}

export function summarize(status: SummaryInput): string {
  const { keepers, chunks, chunksBelowPolicy, chunksUnreadable, repair } = status;
  const amount = (state: KeeperView['state']): number =>
    keepers.filter((keeper) => keeper.state === state).length;
  const live = amount('live');
  const others = (['suspect', 'maintenance', 'dead'] as const)
    .filter((state) => amount(state) > 0)
    .map((state) => `${amount(state)} ${state}`);
  const readOnly = keepers.filter((keeper) => keeper.state === 'live' && keeper.storageError !== null).length;
  if (readOnly > 0) others.push(`${readOnly} with a storage that cannot be written`);
  const doubtful = keepers.filter(({ identityConflict }) => identityConflict !== null).length;
  if (doubtful > 0) others.push(`${doubtful} that two keepers claim to be`);
  const [displaced, ...more] = displacedKeepers(keepers);
  if (displaced) {
    const { keeperId, address, pieces } = displaced;
    const andMore = more.length > 0 ? ` (and ${more.length} more)` : '';
    others.push(
      `another one at ${address} where ${keeperId.slice(0, 8)} with ${plural(pieces, 'piece')} was${andMore}: is its disk mounted?`,
    );
  }
  const who = `${plural(live, 'keeper')} live${others.length > 0 ? `, ${others.join(', ')}` : ''}`;
  if (status.metadataRegressed) {
    return `METADATA REGRESSED: reads only, nothing is deleted; start the tracker from the newest copy of its data directory (${who})`;
  }
  if (chunksUnreadable > 0) {
    // The most endangered come first: if there are others that were not looked at, more of them may be unreadable.
    const atLeast = status.chunksNotCounted > 0 ? 'at least ' : '';
    return `critical: ${who}, ${atLeast}${chunksUnreadable} of ${plural(chunks, 'chunk')} have no copy on a keeper that is there`;
  }
  if (chunksBelowPolicy > 0) {
    const atMost = status.chunksNotCounted > 0 ? 'up to ' : '';
    return `degraded: ${who}, ${atMost}${chunksBelowPolicy} of ${plural(chunks, 'chunk')} below policy, ${progress(repair)}`;
  }
  if (keepers.length === 0) return 'waiting: no keeper has joined yet, so nothing can be stored';
  if (live === 0) return `unavailable: ${who}, nothing can be stored`;
  if (chunks === 0) return `${others.length > 0 ? 'degraded' : 'healthy'}: ${who}, no chunks are stored`;
  const unreported = keepers.filter((keeper) => keeper.state === 'live' && !keeper.reported).length;
  if (unreported > 0) {
    return `unconfirmed: ${who}, every chunk has all its copies by the records, but ${plural(unreported, 'keeper has', 'keepers have')} yet to report what ${unreported === 1 ? 'it has' : 'they have'}`;
  }
  const { chunksBadlyPlaced } = status;
  const badly = chunksBadlyPlaced > 0 ? `, ${chunksBadlyPlaced} with two of them in one zone` : '';
  return `${others.length > 0 ? 'degraded' : 'healthy'}: ${who}, every chunk has all its copies${badly}`;
}

function progress({ copiesInFlight, braked, safeMode, blocked }: SummaryInput['repair']): string {
  const made = `${plural(copiesInFlight, 'copy', 'copies')} being made`;
  if (copiesInFlight > 0) return made;
  if (safeMode) return 'none is copied until the keepers are known';
  if (braked) return `${made}: the brake holds`;
  const [most] = [...blocked].filter(({ reason }) => reason !== 'budget').sort((a, b) => b.chunks - a.chunks);
  return most ? `${made}: ${most.reason}` : made;
}
