/** A keeper as people name it: its id, the beginning of its id, or its address. */
import { HoldfastError } from '@holdfast/shared';
import type { KeeperStatus } from '../ports/cluster-status.js';

/** @throws HoldfastError NOT_FOUND, INVALID_ARGUMENT if several are meant */
export function findKeeper(keepers: readonly KeeperStatus[], name: string): KeeperStatus {
  const exact = keepers.filter(({ keeperId, address }) => keeperId === name || address === name);
  const found = exact.length > 0 ? exact : keepers.filter(({ keeperId }) => keeperId.startsWith(name));
  const [first] = found;
  if (first && found.length === 1) return first;
  const remedy = 'See client status for the keepers.';
  if (!first) throw new HoldfastError('NOT_FOUND', `no keeper is called ${JSON.stringify(name)}`, { remedy });
  const ids = found.map(({ keeperId, address }) => `${keeperId.slice(0, 12)} (${address})`).join(', ');
  throw new HoldfastError('INVALID_ARGUMENT', `${JSON.stringify(name)} may be any of ${ids}`, {
    remedy: 'Give more of its id.',
  });
}
