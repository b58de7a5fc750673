/**
 * Patterns over the names of entries, as `find -name` has them: POSIX fnmatch without classes such as [:alpha:]. No
 * library, because those for files on disk take more characters for special than a name in quotes should have ("!",
 * "(", "|"), and turn a pattern into a regular expression, which a name that somebody else chose can keep busy for
 * hours.
 */
import { HoldfastError } from '@holdfast/shared';

/** Whether one character fits. */
type One = (character: string) => boolean;

/** `undefined` stands for `*`: any characters, or none. */
type Pattern = readonly (One | undefined)[];

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
  return (name) => matches(pattern, [...fold(name)]);
}

function parse(glob: readonly string[]): Pattern {
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

/** After a mismatch only the last "*" takes one character more: what an earlier one took is as good as any. */
function matches(pattern: Pattern, name: readonly string[]): boolean {
  let at = 0;
  let star = -1;
  let starTook = 0;
  for (let index = 0; index < name.length;) {
    const one = pattern[at];
    if (at < pattern.length && one === undefined) {
      star = at;
      starTook = index;
      at += 1;
    } else if (one?.(name[index] ?? '') === true) {
      at += 1;
      index += 1;
    } else if (star >= 0) {
      starTook += 1;
      index = starTook;
      at = star + 1;
    } else return false;
  }
  return pattern.slice(at).every((one) => one === undefined);
}
