/** Where a user's programs keep what they need to go on after a restart, by the customs of each system. */
import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { errnoOf } from '@holdfast/shared';
import { nodeFileSystem } from '@holdfast/shared/node';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Of Holdfast's records of uploads, or of how commands took their targets; undefined where the user has no home.
 * macOS is used as Linux is: one place to explain.
 */
export function stateDirectory(
  of: 'uploads' | 'targets',
  environment: Environment,
  platform: NodeJS.Platform = process.platform,
): string | undefined {
  const set = (name: string): string | undefined =>
    environment[name] === '' ? undefined : environment[name];
  const [own, ...below] =
    platform === 'win32'
      ? [set('LOCALAPPDATA'), 'AppData', 'Local']
      : [set('XDG_STATE_HOME'), '.local', 'state'];
  const home = own === undefined ? (set('HOME') ?? homeOfUser()) : undefined;
  const base = own ?? (home === undefined ? undefined : join(home, ...below));
  return base === undefined ? undefined : join(base, 'holdfast', of);
}

function homeOfUser(): string | undefined {
  try {
    return homedir();
  } catch {
    // A user whom the system does not know, as in containers.
    return undefined;
  }
}

/**
 * Makes such a directory with what is missing above it, for nobody else to read, and syncs the names of those that it makes
 * where that can be done. Node's own way tries for ever where something cannot be made in a directory that is there, as
 * below /proc.
 *
 * @throws whatever the file system does
 */
export async function makeStateDirectory(path: string): Promise<void> {
  const make = async (): Promise<void> => {
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return;
      throw error;
    }
    await nodeFileSystem.syncDirectory(dirname(path)).catch(() => undefined);
  };
  try {
    await make();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    await makeStateDirectory(dirname(path));
    await make();
  }
}
