/**
 * Patterns over the names of entries, as `find -name` has them: POSIX fnmatch without classes such as [:alpha:]. No
 * library, because those for files on disk take more characters for special than a name in quotes should have ("!",
 * "(", "|"), and turn a pattern into a regular expression, which a name that somebody else chose can keep busy for
 * hours.
 */
import { HoldfastError } from '@holdfast/shared';

/** Whether one character fits. */
type One = (character: string) => boolean;

/** Conditions on items in a row, one each; `undefined` is met by any run of items, or none. */
export type RunPattern<T> = readonly (((item: T) => boolean) | undefined)[];

/**
 * Whether a name matches as a whole. In time of at most the pattern's length times the name's.
 *
 * @throws HoldfastError INVALID_ARGUMENT for a pattern that no name can match
 */
export function namePattern(
  glob: string,
  { anyCase = false }: { readonly anyCase?: boolean } = {},
): (name: string) => boolean {
  if (glob.includes('/')) {
    throw new HoldfastError('INVALID_ARGUMENT', `"${glob}" has a "/", and a name has none`, {
      remedy: 'Name the directory to look in as REMOTE.',
    });
  }
  const fold = (text: string): string => (anyCase ? text.toLowerCase() : text);
  const pattern = parse([...fold(glob)]);
  return (name) => matchesRun(pattern, [...fold(name)]);
}

function parse(glob: readonly string[]): RunPattern<string> {
  const pattern: (One | undefined)[] = [];
  for (let at = 0; at < glob.length; at += 1) {
    const character = glob[at];
    const set = character === '[' ? parseSet(glob, at + 1) : undefined;
    if (set) {
      pattern.push(set.has);
      at = set.end;
    } else if (character === '*') pattern.push(undefined);
    else if (character === '?') pattern.push(() => true);
    else {
      const literal = character === '\\' ? (glob[(at += 1)] ?? '\\') : character;
      pattern.push((other) => other === literal);
    }
  }
  return pattern;
}

/** What stands between "[" and "]"; undefined if it does not end, and "[" then stands for itself. */
function parseSet(glob: readonly string[], start: number): { has: One; end: number } | undefined {
  const isNegated = glob[start] === '!' || glob[start] === '^';
  const from = isNegated ? start + 1 : start;
  // As the first one, "]" stands for itself.
  const end = glob.indexOf(']', from + 1);
  if (end < 0) return undefined;
  const ranges: (readonly [low: string, high: string])[] = [];
  for (let at = from; at < end; at += 1) {
    const low = glob[at] ?? '';
    const isRange = glob[at + 1] === '-' && at + 2 < end;
    const high = isRange ? (glob[at + 2] ?? '') : low;
    if (codeOf(low) > codeOf(high)) {
      throw new HoldfastError('INVALID_ARGUMENT', `"${low}-${high}" is no range: it ends before it begins`);
    }
    ranges.push([low, high]);
    if (isRange) at += 2;
  }
  const isIn = (character: string): boolean =>
    ranges.some(([low, high]) => codeOf(low) <= codeOf(character) && codeOf(character) <= codeOf(high));
  return { has: (character) => isIn(character) !== isNegated, end };
}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}

/**
 * Whether all items, in their order, meet a pattern. After a mismatch only the last run takes one item more: what an
 * earlier one took is as good as any.
 */
export function matchesRun<T>(pattern: RunPattern<T>, items: readonly T[]): boolean {
  let at = 0;
  let run = -1;
  let runEnd = 0;
  for (let index = 0; index < items.length;) {
    const one = pattern[at];
    if (at < pattern.length && one === undefined) {
      run = at;
      runEnd = index;
      at += 1;
    } else if (one?.(items[index] as T) === true) {
      at += 1;
      index += 1;
    } else if (run >= 0) {
      runEnd += 1;
      index = runEnd;
      at = run + 1;
    } else return false;
  }
  return pattern.slice(at).every((one) => one === undefined);
}
