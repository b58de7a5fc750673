/** What can be in the place of a file: the same with some of it changed, something else, or nothing. */
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import type { Choices } from './random.js';

export interface Damage {
  readonly name: string;
  /** Puts it at the path, where a file is, or nothing. */
  readonly put: (path: string, choices: Choices) => Promise<void>;
}

async function instead(path: string, make: () => Promise<unknown>): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await make();
}

async function changed(path: string, change: (bytes: Buffer) => Buffer): Promise<void> {
  await writeFile(path, change(await readFile(path).catch(() => Buffer.alloc(0))));
}

/** Of one file, by a seed. */
export const changes: readonly Damage[] = [
  {
    name: 'cut',
    put: (path, choices) =>
      changed(path, (bytes) => bytes.subarray(0, choices.below(Math.max(1, bytes.length)))),
  },
  {
    name: 'with a bit that flipped',
    put: (path, choices) =>
      changed(path, (bytes) => {
        if (bytes.length > 0) bytes[choices.below(bytes.length)]! ^= 1 << choices.below(8);
        return bytes;
      }),
  },
  {
    name: 'with a page of zeros',
    put: (path, choices) =>
      changed(path, (bytes) => {
        const at = choices.below(Math.max(1, bytes.length));
        return bytes.fill(0, at - (at % 512), Math.min(bytes.length, at + 512));
      }),
  },
  {
    name: 'longer',
    put: (path, choices) =>
      changed(path, (bytes) => Buffer.concat([bytes, choices.bytes(choices.one([1, 100, 5_000]))])),
  },
  { name: 'random', put: (path, choices) => writeFile(path, choices.bytes(1 + choices.below(5_000))) },
  { name: 'empty', put: (path) => writeFile(path, '') },
];

/** Something that is no file, or not the one that it seems to be. */
export const replacements: readonly Damage[] = [
  { name: 'a directory', put: (path) => instead(path, () => mkdir(path)) },
  {
    name: 'a directory with something in it',
    put: (path) =>
      instead(path, async () => {
        await mkdir(path);
        await writeFile(`${path}/x`, 'x');
      }),
  },
  { name: 'a link to nothing', put: (path) => instead(path, () => symlink('nothing-is-called-so', path)) },
  {
    name: 'a link to itself',
    put: (path) => instead(path, () => symlink(path.slice(path.lastIndexOf('/') + 1), path)),
  },
  { name: 'a link to a device', put: (path) => instead(path, () => symlink('/dev/zero', path)) },
  { name: 'a pipe', put: (path) => instead(path, async () => execFileSync('mkfifo', [path])) },
];

/** Lets go whoever waits for a writer of a pipe: a failed test must not leave threads behind that hang for ever. */
export async function releasePipe(path: string): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_NONBLOCK).catch(() => undefined);
  await handle?.close();
}
