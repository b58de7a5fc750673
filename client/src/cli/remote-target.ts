/** Where `mv` and `cp` put what they are given: into the target if it is a directory, else as the target. */
import { HoldfastError, baseName, joinPath } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import { entryAt } from './entries.js';
import { type RemotePath, remotePath } from './flag-values.js';
import { noRemoteDirectory, notADirectory } from './make-top.js';
import { expandGlobs } from './remote-globs.js';

/** What was typed: one path or several, and behind them the target. */
export interface SourcesAndTarget {
  readonly sources: readonly RemotePath[];
  readonly target: RemotePath;
}

/** @throws HoldfastError INVALID_ARGUMENT for a path that is none, or for "/" as a source */
export function sourcesAndTarget(paths: readonly string[], verb: string): SourcesAndTarget {
  const remotes = paths.map(remotePath);
  const target = remotes.at(-1) ?? remotePath('/');
  const sources = remotes.slice(0, -1);
  if (sources.some(({ path }) => path === '/')) {
    throw new HoldfastError('INVALID_ARGUMENT', `"/" cannot be ${verb}`, { remedy: 'Name what is in it.' });
  }
  return { sources, target };
}

/** The same with the sources that patterns stand for. */
export async function expandSources(
  client: HoldfastClient,
  { sources, target }: SourcesAndTarget,
  signal: AbortSignal,
): Promise<SourcesAndTarget> {
  return { sources: await expandGlobs(client, sources, signal), target };
}

/**
 * The destination of each source.
 *
 * @throws HoldfastError NOT_A_DIRECTORY if several sources, or a file, would have to go into a file, NOT_FOUND if into
 *   nothing
 */
export async function destinationsOf(
  client: HoldfastClient,
  { sources, target }: SourcesAndTarget,
  signal: AbortSignal,
): Promise<(source: RemotePath) => string> {
  const there = await entryAt(client, target.path, signal);
  const into = there?.type === 'directory';
  // "mv dir new/" names the directory anew, as mv does; a file cannot become a directory.
  const fits = async ({ path }: RemotePath): Promise<boolean> =>
    there === undefined && (await client.stat(path, { signal })).type === 'directory';
  const [first] = sources;
  if (!into && (sources.length > 1 || (target.asDirectory && first && !(await fits(first))))) {
    throw there ? notADirectory(target.path) : noRemoteDirectory(target.path);
  }
  return ({ path }) => (into ? joinPath(target.path, baseName(path)) : target.path);
}
