/**
 * Files that belong to one running process each and can be taken over when it has died. The owner is in the name, and
 * taking over is renaming: of several that try, one succeeds, and there is no lock that a kill could leave behind.
 */
import { createHash } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { readFile, readdir, rename, stat, unlink, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type Random, errnoOf } from '@holdfast/shared';

/** Processes of another machine or container cannot be asked; whoever has a file touches it more often than this. */
const silentOwnerMs = 10 * 60_000;
const touchEveryMs = 60_000;

/** Where nobody waits for the file, there is no hurry to think it lost. */
const longSilentMs = 24 * 60 * 60_000;

const ownerPattern = /^(?:free|([0-9a-f]{8})-(\d{1,10})-(\d{1,20}))-[0-9a-f]{8}$/;
const unknownStart = '0';
let ownStart: Promise<string> | undefined;
/** Containers may share a name, and each has processes of its own: their numbers mean nothing to the others. */
const host = createHash('sha256')
  .update(hostname() + processNamespace())
  .digest('hex')
  .slice(0, 8);

/** A family of files: all that are called STEM.LABEL.OWNER.ENDING in a directory. */
export interface Family {
  readonly directory: string;
  readonly stem: string;
  readonly ending: string;
}

export interface OwnedFile {
  readonly path: string;
  readonly label: string;
}

/** Removes files of every family of this ending that nobody has, and that nobody has touched for so long. */
export async function sweep(
  { directory, ending }: Pick<Family, 'directory' | 'ending'>,
  keptMs: number,
): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.endsWith(`.${ending}`)) continue;
    const path = join(directory, name);
    const owner = ownerPattern.exec(name.split('.').at(-2) ?? '');
    if (owner && (await isOwned(path, owner, keptMs))) continue;
    const status = await stat(path).catch(() => undefined);
    if (status && Date.now() - status.mtimeMs > keptMs) await unlink(path).catch(() => undefined);
  }
}

/** Touches a file for as long as it has a path: whoever waits, or only reads it, still has it. Ends with clearInterval. */
export function touching(pathNow: () => string | undefined): NodeJS.Timeout {
  return setInterval(() => {
    const path = pathNow();
    if (path !== undefined) void touch(path);
  }, touchEveryMs).unref();
}

/** Never rejects. */
export async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

/** The path of a new file of this process. */
export async function ownPath(family: Family, label: string, random: Random): Promise<string> {
  ownStart ??= startOf(process.pid);
  return pathOf(family, label, `${host}-${process.pid}-${await ownStart}`, random);
}

/** Takes over all files of the family whose owners are gone; `inUse` if another one is being used. */
export async function claim(
  family: Family,
  random: Random,
): Promise<{ readonly claimed: readonly OwnedFile[]; readonly inUse: boolean }> {
  const claimed: OwnedFile[] = [];
  let inUse = false;
  for (const name of await readdir(family.directory)) {
    if (!name.startsWith(`${family.stem}.`) || !name.endsWith(`.${family.ending}`)) continue;
    const middle = name.slice(family.stem.length + 1, -family.ending.length - 1);
    const [label = '', owner = '', ...more] = middle.split('.');
    const parts = ownerPattern.exec(owner);
    if (!parts || more.length > 0 || !/^[0-9a-z]+$/.test(label)) continue;
    const there = join(family.directory, name);
    if (await isOwned(there, parts, silentOwnerMs)) {
      inUse = true;
      continue;
    }
    const path = await ownPath(family, label, random);
    try {
      await rename(there, path);
      claimed.push({ path, label });
    } catch (error) {
      // Another one was faster.
      if (errnoOf(error) !== 'ENOENT') throw error;
      inUse = true;
    }
  }
  return { claimed, inUse };
}

/** Whether a file of this owner, the part of its name, has none any more. */
export async function isOrphaned(path: string, owner: string): Promise<boolean> {
  const parts = ownerPattern.exec(owner);
  return parts !== null && !(await isOwned(path, parts, longSilentMs));
}

/** Leaves a file to whoever claims it, be it in this process. */
export async function release(family: Family, { path, label }: OwnedFile, random: Random): Promise<void> {
  await rename(path, pathOf(family, label, 'free', random));
}

function pathOf({ directory, stem, ending }: Family, label: string, owner: string, random: Random): string {
  return join(directory, `${stem}.${label}.${owner}-${random.bytes(4).toString('hex')}.${ending}`);
}

async function isOwned(
  path: string,
  [, itsHost, pidText, startText]: RegExpExecArray,
  silentMs: number,
): Promise<boolean> {
  if (itsHost === undefined) return false;
  if (itsHost !== host) {
    const status = await stat(path).catch(() => undefined);
    // A file is given a time of its own before it is shown.
    return status !== undefined && Date.now() - Math.max(status.mtimeMs, status.ctimeMs) < silentMs;
  }
  const pid = Number(pidText);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false;
  }
  // The process of that number may be another one by now. What cannot be learnt of it is no proof.
  const start = await startOf(pid);
  return [start, startText].includes(unknownStart) || start === startText;
}

/** When a process was started, in ticks since the machine was (Linux; elsewhere nobody says, and the number counts). */
async function startOf(pid: number): Promise<string> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // Behind the name, which may contain anything, it is the 20th word.
    return /^\d+$/.exec(text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '')?.[0] ?? unknownStart;
  } catch {
    // Not Linux, or hidden from other users.
    return unknownStart;
  }
}

/** Linux only; elsewhere all processes of a machine see each other. */
function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}
