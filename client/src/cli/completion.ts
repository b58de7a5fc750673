/** What may stand in the place of a word that is being typed. Pure but for the listing, which is a parameter. */
import { type CommandSpec, type FlagSpec, globalOptions } from './command.js';

/** As many as anyone looks through; more are cut off. */
const maxNames = 1_000;

export interface Candidates {
  readonly words: readonly string[];
  /** The words are paths, to be quoted for the shell; one that ends with "/" goes on. */
  readonly arePaths: boolean;
  /** Local paths fit too; the shell knows them. */
  readonly alsoLocal: boolean;
}

/** The entries of a remote directory, in byte order of their names. */
export type Listing = (
  directory: string,
) => AsyncIterable<{ readonly path: string; readonly type: 'file' | 'directory' }>;

/**
 * @param before the words behind the program's name and before the one that is typed
 * @param typed what there is of it, as the shell has it: with its quotes
 */
export async function candidatesFor(
  before: readonly string[],
  typed: string,
  commands: readonly CommandSpec[],
  list: Listing,
): Promise<Candidates> {
  const word = unquoted(typed);
  const start = before.findIndex((one) => !one.startsWith('-'));
  const verbWords = start < 0 ? [] : before.slice(start, start + 2);
  const command = commands.find(({ name }) => name === verbWords[0] || name === verbWords.join(' '));
  const options: CommandSpec['options'] = { ...globalOptions, ...command?.options };
  const flagsEnd = before.includes('--');
  const flag = flagsEnd ? undefined : flagWithValue(before.at(-1), options);
  if (flag) return flag.words ? words(flag.words) : local();
  if (!flagsEnd && word.startsWith('-')) {
    return words(
      Object.keys({ ...options, help: {} })
        .filter((name) => name.length > 1)
        .map((name) => `--${name}`),
    );
  }
  if (!command) return words(nextWords(verbWords, commands));
  if (command.choices) return words(command.choices);
  const hasRemote = /REMOTE|TARGET|SOURCE/.test(command.synopsis);
  const alsoLocal = /LOCAL|SOURCE/.test(command.synopsis);
  const marker = word.startsWith(':/') ? ':' : '';
  const path = word.slice(marker.length) || '/';
  if (!hasRemote || (alsoLocal && word === '') || !path.startsWith('/'))
    return alsoLocal ? local() : words([]);
  const found = await remoteNames(path, list);
  return { words: found.map((one) => marker + one), arePaths: true, alsoLocal };

  function words(all: readonly string[]): Candidates {
    return { words: all.filter((one) => one.startsWith(word)), arePaths: false, alsoLocal: false };
  }
}

function local(): Candidates {
  return { words: [], arePaths: true, alsoLocal: true };
}

/** Verbs, or the second words of those of two. */
function nextWords(verbWords: readonly string[], commands: readonly CommandSpec[]): string[] {
  const names = commands.map(({ name }) => name.split(' '));
  const [group] = verbWords;
  if (group === undefined) return [...new Set(names.map(([first = '']) => first))];
  return names.flatMap(([first, second]) => (first === group && second !== undefined ? [second] : []));
}

/** The flag that stands there, if its value comes next. */
function flagWithValue(flag: string | undefined, options: CommandSpec['options']): FlagSpec | undefined {
  if (flag === undefined || !/^-[^=]+$/.test(flag)) return undefined;
  const name = flag.replace(/^--?/, '');
  const [, option] =
    Object.entries(options).find(([long, { alias }]) => long === name || alias === name) ?? [];
  return option?.type === 'string' ? option : undefined;
}

/** What begins so in its directory; names that begin with a dot only if this does. */
async function remoteNames(path: string, list: Listing): Promise<string[]> {
  const cut = path.lastIndexOf('/');
  const directory = path.slice(0, cut) || '/';
  const prefix = path.slice(cut + 1);
  const found: string[] = [];
  for await (const entry of list(directory)) {
    const name = entry.path.slice(entry.path.lastIndexOf('/') + 1);
    if (!name.startsWith(prefix)) {
      if (Buffer.compare(Buffer.from(name), Buffer.from(prefix)) > 0) break;
      continue;
    }
    // A line each: what holds an end of line cannot be told.
    if (/\p{Cc}/u.test(name) || (name.startsWith('.') && prefix === '')) continue;
    found.push(`${path.slice(0, cut + 1)}${name}${entry.type === 'directory' ? '/' : ''}`);
    if (found.length >= maxNames) break;
  }
  return found;
}

/** A word as a shell takes it, of which the end may be missing. */
function unquoted(typed: string): string {
  let word = '';
  let quote = '';
  for (let at = 0; at < typed.length; at += 1) {
    const character = typed[at] ?? '';
    if (quote === '' && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = '';
    else if (character === '\\' && quote !== "'") word += typed[(at += 1)] ?? '';
    else word += character;
  }
  return word;
}
