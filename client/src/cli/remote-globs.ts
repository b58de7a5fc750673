/**
 * Remote paths that were typed as patterns, put into the paths that they match. What is really there under the path as
 * it was typed is meant first: a file may be named "a*b". No other path costs a question.
 */
import { HoldfastError, baseName, hasCode, joinPath } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import type { Entry } from '../ports/tracker-api.js';
import type { RemotePath } from './flag-values.js';
import { namePattern } from './name-pattern.js';

/** More paths than a shell would hand to a program, and still some 10 MB. */
const maxMatches = 100_000;

/** For the --help of verbs that take patterns. */
export const globWords =
  'A REMOTE in quotes may be a pattern: * stands for any characters of a name but a dot at its beginning, ? for one, ' +
  '[a-z] for one of these, ** for any number of directories; a backslash takes the meaning of the next one.';

/**
 * Each path that is a pattern, and does not exist as such, with what it matches in its place.
 *
 * @throws HoldfastError NOT_FOUND if a pattern matches nothing, INVALID_ARGUMENT for one that nothing can match,
 *   LIMIT_EXCEEDED for more than 100,000 matches
 */
export async function expandGlobs(
  client: HoldfastClient,
  remotes: readonly RemotePath[],
  signal: AbortSignal,
): Promise<RemotePath[]> {
  const found: RemotePath[] = [];
  for (const remote of remotes) {
    if (!isPattern(remote.path) || (await isThere(client, remote.path, signal))) found.push(remote);
    else {
      for (const path of await matchesOf(client, remote, signal)) {
        found.push({ path, asDirectory: remote.asDirectory });
      }
    }
  }
  return found;
}

function isPattern(text: string): boolean {
  return /[*?[]/.test(text);
}

async function isThere(client: HoldfastClient, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.stat(path, { signal });
    return true;
  } catch (error) {
    // What is below a file is not there.
    if (hasCode(error, 'NOT_FOUND', 'NOT_A_DIRECTORY')) return false;
    throw error;
  }
}

async function matchesOf(
  client: HoldfastClient,
  { path, asDirectory }: RemotePath,
  signal: AbortSignal,
): Promise<Set<string>> {
  const parts = path
    .slice(1)
    .split('/')
    .filter((part, index, all) => !(part === '**' && all[index - 1] === '**'))
    .map(partOf);
  // "a/**/b/**/c" may lead to one entry by two ways.
  const found = new Set<string>();
  for await (const match of below(client, '/', parts, asDirectory, signal)) {
    found.add(match);
    if (found.size > maxMatches) {
      throw new HoldfastError(
        'LIMIT_EXCEEDED',
        `${JSON.stringify(path)} matches more than ${maxMatches} entries`,
        {
          remedy: 'Name directories and use -r, or take what `client find` prints in parts, by xargs.',
        },
      );
    }
  }
  if (found.size > 0) return found;
  throw new HoldfastError('NOT_FOUND', `nothing matches ${JSON.stringify(path)}`, {
    remedy:
      'A pattern matches no names that begin with a dot, unless it does too. `client find` looks at all.',
  });
}

/** `**`: any number of directories, or at the end all that is in them. */
const anyDepth = Symbol('**');

/** A name, or what a name must match. */
type Part = string | ((name: string) => boolean) | typeof anyDepth;

function partOf(text: string): Part {
  if (text === '**') return anyDepth;
  // With what a backslash takes the meaning of out of the way.
  if (!isPattern(text.replace(/\\./gsu, ''))) return text.replace(/\\(.)/gsu, '$1');
  const matches = namePattern(text);
  const alsoHidden = /^\\?\./.test(text);
  return (name) => (alsoHidden || !isHidden(name)) && matches(name);
}

function isHidden(name: string): boolean {
  return name.startsWith('.');
}

/** What matches below a directory: level by level, with a page of each in memory. */
async function* below(
  client: HoldfastClient,
  directory: string,
  parts: readonly Part[],
  onlyDirectories: boolean,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const [part, ...rest] = parts;
  const isLast = rest.length === 0;
  const deeper = (path: string, what: readonly Part[]): AsyncGenerator<string, void, undefined> =>
    below(client, path, what, onlyDirectories, signal);
  if (typeof part === 'string') {
    const path = joinPath(directory, part);
    if (!isLast) yield* deeper(path, rest);
    else if (await isThere(client, path, signal)) yield path;
    return;
  }
  if (part === anyDepth && !isLast) yield* deeper(directory, rest);
  for await (const { path, type } of listingOf(client, directory, signal)) {
    const name = baseName(path);
    const matches = part === anyDepth ? !isHidden(name) : part?.(name) === true;
    if (!matches) continue;
    if (isLast && (type === 'directory' || !onlyDirectories)) yield path;
    if (type === 'directory' && part === anyDepth) yield* deeper(path, parts);
    else if (type === 'directory' && !isLast) yield* deeper(path, rest);
  }
}

/** Nothing of what is no directory. */
async function* listingOf(
  client: HoldfastClient,
  directory: string,
  signal: AbortSignal,
): AsyncGenerator<Entry, void, undefined> {
  try {
    yield* client.list(directory, { signal });
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND', 'NOT_A_DIRECTORY')) throw error;
  }
}
