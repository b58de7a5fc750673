/** How a keeper is called where people read it: by the beginning of its id, and where it is. */
import type { Membership } from './membership.js';

/** Enough for people, and for commands, which take the beginning of an id. */
const shownIdLength = 8;

export function keeperName(membership: Pick<Membership, 'get'>, keeperId: string): string {
  const keeper = membership.get(keeperId);
  return `keeper ${keeperId.slice(0, shownIdLength)}${keeper ? ` at ${keeper.address}` : ''}`;
}
