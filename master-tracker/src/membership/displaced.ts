/**
 * Keepers in whose place another one answers.
 *
 * The failure it answers: a disk that was not mounted when its keeper started. The keeper finds an empty directory,
 * takes it for a new storage, and joins as a new keeper where it has always been; the old one, with all its pieces,
 * seems to have died. From the keeper's side that is a first start; only the tracker can see both. It may as well be a
 * machine that was replaced, so this is told and nothing else.
 */
import type { KeeperView } from './keeper.js';

/** What it may mean and what helps, without the full stop. */
export const displacedRemedy =
  'if that should be the same storage, its disk is not mounted: stop the keeper, mount the disk and start it again; if ' +
  'not, forget the old one once repair is done';

type Placed = Pick<KeeperView, 'address' | 'state'> & { readonly pieces: number };

/** The keepers that are silent, have pieces, and at whose address another one is live. */
export function displacedKeepers<K extends Placed>(keepers: readonly K[]): K[] {
  const live = new Set(keepers.filter(({ state }) => state === 'live').map(({ address }) => address));
  return keepers.filter(({ address, state, pieces }) => state !== 'live' && pieces > 0 && live.has(address));
}
