/** Which keeper somebody means: by its id, the beginning of its id, or its address. */
import { HoldfastError } from '@holdfast/shared';

/** What a keeper is known by. */
export interface NamedKeeper {
  readonly keeperId: string;
  /** HOST:PORT. */
  readonly address: string;
}

/** As `status` shows ids; more would not fit beside their addresses. */
const shownIdLength = 8;

/** An id of a keeper or a job as people see it: its beginning, which names it in commands. */
export function shortId(id: string): string {
  return id.slice(0, shownIdLength);
}

/**
 * The one keeper that `text` means: its whole id, the beginning of its id if no other begins so, or HOST:PORT.
 *
 * @throws HoldfastError NOT_FOUND; INVALID_ARGUMENT if several keepers fit
 */
export function findKeeper<K extends NamedKeeper>(keepers: readonly K[], text: string): K {
  // An address first: a keeper that came back with another id on the same port would hide behind a dead one.
  const byAddress = keepers.filter(({ address }) => address === text);
  const byId = keepers.filter(({ keeperId }) => text !== '' && keeperId.startsWith(text.toLowerCase()));
  const exact = byId.filter(({ keeperId }) => keeperId === text.toLowerCase());
  const fitting = exact.length > 0 ? exact : [...byAddress, ...byId];
  const [keeper, ...others] = fitting;
  if (keeper && others.length === 0) return keeper;
  const known = keepers.map(({ keeperId, address }) => `${shortId(keeperId)} at ${address}`);
  if (!keeper) {
    throw new HoldfastError('NOT_FOUND', `there is no keeper ${JSON.stringify(text)}`, {
      remedy:
        known.length === 0
          ? 'No keeper has joined the cluster yet.'
          : `Name one by the beginning of its id or by its address: ${known.slice(0, 10).join(', ')}${known.length > 10 ? ', …' : ''}.`,
    });
  }
  const which = fitting.slice(0, 10).map(({ keeperId, address }) => `${keeperId} at ${address}`);
  throw new HoldfastError('INVALID_ARGUMENT', `${JSON.stringify(text)} may be ${fitting.length} keepers`, {
    remedy: `Name one by more of its id: ${which.join(', ')}.`,
  });
}
