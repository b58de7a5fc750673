/** Patterns over paths: one for each name, as `namePattern` has them, and `**` for any number of names. Pure. */
import type { Options } from 'yargs';
import type { Flags } from './command.js';
import { flagValues } from './flag-values.js';
import { type RunPattern, matchesRun, namePattern } from './name-pattern.js';

/** Whether an entry is left out, by its names from the top of the tree down; what is in it is then not looked at. */
export type IsExcluded = (names: readonly string[], isDirectory: boolean) => boolean;

export const excludeOption: Readonly<Record<string, Options>> = {
  exclude: {
    type: 'string',
    array: true,
    nargs: 1,
    describe: 'Leave out what matches this GLOB, with all that is in it; may be repeated',
  },
};

/** For the --help of verbs that have `excludeOption`. */
export const excludeWords =
  'A GLOB of --exclude without "/" is matched with each name at any depth, one with "/" with the path below the ' +
  'directory that was named ("/a" for one right in it); one that ends with "/" means directories only. * stands for ' +
  'any characters of a name, ? for one, [a-z] for one of these, ** for any number of names.';

/**
 * Undefined if nothing is.
 *
 * @throws HoldfastError INVALID_ARGUMENT for a pattern that nothing can match
 */
export function excludedBy(flags: Flags): IsExcluded | undefined {
  const patterns = flagValues(flags, 'exclude', exclusion);
  if (patterns.length === 0) return undefined;
  return (names, isDirectory) => patterns.some((isExcluded) => isExcluded(names, isDirectory));
}

/** @throws HoldfastError INVALID_ARGUMENT */
export function exclusion(glob: string): IsExcluded {
  const path = glob.replace(/\/+$/, '');
  const onlyDirectories = path !== glob;
  const matches = path.includes('/') ? pathPattern(path.replace(/^\/+/, '')) : lastMatches(namePattern(path));
  return (names, isDirectory) => (isDirectory || !onlyDirectories) && matches(names);
}

/** @throws HoldfastError INVALID_ARGUMENT */
function pathPattern(glob: string): (names: readonly string[]) => boolean {
  const pattern: RunPattern<string> = glob
    .split('/')
    .map((part) => (part === '**' ? undefined : namePattern(part)));
  return (names) => matchesRun(pattern, names);
}

function lastMatches(matches: (name: string) => boolean): (names: readonly string[]) => boolean {
  return (names) => matches(names.at(-1) ?? '');
}
