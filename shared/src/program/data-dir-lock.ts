/**
 * One process at a time on a data directory. Two keepers on one directory would each delete what the other
 * just stored; two trackers would hand out the same ids.
 *
 * Node offers no flock, so the lock is a file, LOCK, that names its holder. Promises:
 *  - At most one live process holds it. The file appears whole and at once (a hard link to a finished file).
 *  - A killed holder (kill -9, power cut) leaves LOCK behind; the next start sees that the process is gone and
 *    takes it over, however many start at the same time. To replace a stale LOCK with token T one must hold
 *    the lock file `LOCK.T`; since tokens are never reused and only its holder may replace T, nobody can
 *    replace a fresh LOCK by mistake. `LOCK.T` is a lock like any other, so a process that dies during a
 *    take-over is itself taken over.
 *
 * It does not protect against processes that cannot see one another's pids: two containers, two machines.
 */
import { randomBytes } from 'node:crypto';
import { link, lstat, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, fromErrno, HoldfastError } from '../errors/index.js';
import { isAlive, ownIdentity, type ProcessIdentity } from './process-identity.js';

export interface DataDirLock {
  /** Gives the directory back. Safe to call twice. */
  release(): Promise<void>;
}

interface Holder extends ProcessIdentity {
  /** Names this one act of locking. */
  readonly token: string;
}

// Where hard links do not exist, LOCK is empty between its creation and its writing: a moment of a live
// process, and for ever if it was killed right then. Nobody takes this long to write 200 bytes.
const unfinishedPatienceMs = 1000;
const unfinishedPollMs = 20;
// Each level is a process that died while it took over from another; a real chain has one or two.
const maxTakeOverDepth = 8;
// A round is lost only when another process wins or releases in that instant.
const maxRounds = 100;

/**
 * Locks a directory for this process until release, or its end.
 *
 * @throws HoldfastError DATA_DIR_LOCKED if a live process, this one included, has it; the errno's code if the
 *   directory is not there or cannot be written
 */
export async function acquireDataDirLock(dir: string): Promise<DataDirLock> {
  const path = join(resolve(dir), 'LOCK');
  const mine: Holder = { ...ownIdentity(), token: randomBytes(8).toString('hex') };
  try {
    await take(path, mine, 0);
  } catch (error) {
    throw fromErrno(error, `cannot lock the data directory ${dir}`);
  }
  let released: Promise<void> | undefined;
  return { release: () => (released ??= drop(path, mine)) };
}

/** Makes `mine` the content of the lock file at `path`. */
async function take(path: string, mine: Holder, depth: number): Promise<void> {
  for (let round = 0; round < maxRounds; round++) {
    if (await create(path, mine)) return;
    const holder = await readHolder(path);
    if (holder === undefined) continue; // released in the meantime
    if (holdsStill(holder)) throw locked(path, holder);
    if (depth === maxTakeOverDepth) break;
    if (await takeOver(path, holder, mine, depth)) return;
  }
  throw new HoldfastError('DATA_DIR_LOCKED', `the lock ${path} changes hands all the time`, {
    remedy: 'See which processes start on this directory again and again.',
  });
}

/** Replaces a stale lock. False if it is no longer there. */
async function takeOver(path: string, stale: Holder, mine: Holder, depth: number): Promise<boolean> {
  const right = `${path}.${stale.token}`;
  await take(right, mine, depth + 1);
  try {
    // Another process may have taken over and given the right back before we got it.
    if ((await readHolder(path))?.token !== stale.token) return false;
    const fresh = `${path}.new.${mine.token}`;
    await writeFile(fresh, JSON.stringify(mine));
    await rename(fresh, path);
    return true;
  } finally {
    await drop(right, mine);
  }
}

/** Creates the lock file, whole; false if there is one. */
async function create(path: string, mine: Holder): Promise<boolean> {
  const content = JSON.stringify(mine);
  const fresh = `${path}.new.${mine.token}`;
  await writeFile(fresh, content);
  try {
    await link(fresh, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    if (!isLinkUnsupported(error)) throw error;
  } finally {
    await unlink(fresh);
  }
  try {
    await writeFile(path, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** FAT, some network file systems and Android's shared storage have no hard links. */
function isLinkUnsupported(error: unknown): boolean {
  return ['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errnoOf(error) ?? '');
}

/** Who holds the lock file; undefined if there is none. A damaged one has a holder that does not live. */
async function readHolder(path: string): Promise<Holder | undefined> {
  for (let waitedMs = 0; ; waitedMs += unfinishedPollMs) {
    let text: string;
    try {
      // Nothing may be read from a pipe, and too much from a device.
      if (!(await lstat(path)).isFile()) throw notALock(path);
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const holder = parseHolder(text);
    if (holder !== undefined) return holder;
    if (waitedMs >= unfinishedPatienceMs) return { pid: 0, token: 'damaged' };
    await sleep(unfinishedPollMs);
  }
}

function notALock(path: string): HoldfastError {
  return new HoldfastError('DATA_DIR_INVALID', `${path} is in the place of the lock, and is no file`, {
    remedy: 'No Holdfast program made it. See what it is, and move it away.',
  });
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, token, startTicks, bootId } = JSON.parse(text) as Partial<Record<string, unknown>>;
    // The token becomes part of a file name, so it has to be one of ours.
    if (!Number.isSafeInteger(pid) || typeof token !== 'string' || !/^[0-9a-f]{16}$/.test(token)) {
      return undefined;
    }
    return {
      pid: pid as number,
      token,
      startTicks: typeof startTicks === 'string' ? startTicks : undefined,
      bootId: typeof bootId === 'string' ? bootId : undefined,
    };
  } catch {
    return undefined; // cut short by a power cut, or not written yet
  }
}

// Signal 0 to pid 0 or below asks about whole groups of processes, and always succeeds.
function holdsStill(holder: Holder): boolean {
  return holder.pid > 0 && isAlive(holder);
}

function locked(path: string, holder: Holder): HoldfastError {
  const who = holder.pid === process.pid ? 'this very process' : `process ${holder.pid}`;
  return new HoldfastError('DATA_DIR_LOCKED', `the data directory is in use by ${who} (${path})`, {
    remedy:
      'Stop that process, or choose another data directory. ' +
      `If no Holdfast program has that pid any more, delete ${path}.`,
    facts: { path, pid: holder.pid },
  });
}

/** Removes the lock file if it is ours; nobody else may replace it while we live. */
async function drop(path: string, mine: Holder): Promise<void> {
  if ((await readHolder(path))?.token !== mine.token) return;
  await unlink(path);
}
