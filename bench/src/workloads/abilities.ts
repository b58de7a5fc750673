/** What not every contender can do. */
import type { Ability, Contender, RunningContender } from '../contender.js';

export function can(ability: Ability): (contender: Contender) => boolean {
  return ({ abilities = [] }) => abilities.includes(ability);
}

/**
 * An optional member of a contender that said it has the ability.
 *
 * @throws Error if it lacks the member all the same
 */
export function needed<K extends keyof RunningContender>(
  running: RunningContender,
  member: K,
): NonNullable<RunningContender[K]> {
  const found = running[member];
  if (found === undefined) throw new Error(`a contender says that it can, and has no ${member}`);
  return found;
}
