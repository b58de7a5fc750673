/**
 * How a command that moves many files took its target, as long as it has not ended well: its first run makes the
 * directory, so that the next one, asked the same, would see another case. It is recorded in the name of a file, which
 * belongs to no more than one process (owned-file.ts); in it is what tells the directory that was made from one that
 * somebody makes later. Nothing is synced: after a power cut the next run may begin anew.
 */
import { createHash } from 'node:crypto';
import { lstat, readFile, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { Random } from '@holdfast/shared';
import {
  type Family,
  type OwnedFile,
  claim,
  ownPath,
  release,
  sweep,
  touch,
  touching,
} from './owned-file.js';
import { makeStateDirectory } from './state-directory.js';

/** As of uploads: whoever comes back later than the next day may mean something else by the same words. */
const keptMs = 24 * 60 * 60_000;
const maxIdBytes = 200;

/** 'into': the sources went into the target, under their names; 'as': the one source became the target. */
export type TargetTaken = 'into' | 'as';

/** What a command is known by: one that differs in any of it is another one. */
export interface ManyIdentity {
  readonly verb: 'upload' | 'download';
  readonly clusterId: string;
  /** Whatever tells where each source is, and under which name it goes into a directory. */
  readonly sources: readonly (string | readonly string[])[];
  readonly target: string;
}

interface Left extends OwnedFile {
  /** Of the target that was made; '' if that was not written down. */
  readonly targetId: string;
}

export class TargetRecord {
  readonly #family: Family;
  readonly #random: Random;
  #file: Left | undefined;
  #touching: NodeJS.Timeout | undefined;

  private constructor(family: Family, random: Random, file: Left | undefined) {
    this.#family = family;
    this.#random = random;
    this.#file = file;
  }

  /**
   * Opens the record of a command; undefined if another process is at the same one.
   *
   * @throws whatever the directory's file system does
   */
  static async open(
    directory: string,
    { verb, clusterId, sources, target }: ManyIdentity,
    random: Random,
  ): Promise<TargetRecord | undefined> {
    await makeStateDirectory(directory);
    // Local paths mean something on one machine only; homes may be those of several.
    const identity = JSON.stringify([hostname(), verb, clusterId, sources, target]);
    const stem = createHash('sha256').update(identity).digest('hex').slice(0, 32);
    const family: Family = { directory, stem, ending: 'target' };
    await sweep(family, keptMs);
    const { claimed, inUse } = await claim(family, random);
    const [first, ...more] = claimed.filter(({ label }) => label === 'into' || label === 'as');
    for (const { path } of more) await unlink(path);
    if (!inUse)
      return new TargetRecord(family, random, first && { ...first, targetId: await readId(first.path) });
    if (first) await unlink(first.path);
    return undefined;
  }

  /**
   * Whether an earlier run, which has not ended well, made the target of its source, and it is still that one.
   *
   * @param targetId of what is there now
   */
  isTargetOurs(targetId: string): boolean {
    return this.isTaken('as') && ['', targetId].includes(this.#file?.targetId ?? '');
  }

  /** Whether an earlier run, which has not ended well, took it so. */
  isTaken(taken: TargetTaken): boolean {
    return this.#file?.label === taken;
  }

  /** Resolves to whether an earlier run took it so. */
  async begin(taken: TargetTaken): Promise<boolean> {
    const goesOn = this.isTaken(taken);
    if (!goesOn) {
      await this.forget();
      const path = await ownPath(this.#family, taken, this.#random);
      await writeFile(path, '', { flag: 'wx', mode: 0o600 });
      this.#file = { path, label: taken, targetId: '' };
    }
    this.#touching = touching(() => this.#file?.path);
    return goesOn;
  }

  /** Notes which target it is, once it is there. */
  async made(targetId: string): Promise<void> {
    if (this.#file) await writeFile(this.#file.path, targetId);
  }

  /** Leaves it to the next run. */
  async release(): Promise<void> {
    const file = this.#take();
    if (!file) return;
    // Its day begins now.
    await touch(file.path);
    await release(this.#family, file, this.#random);
  }

  async forget(): Promise<void> {
    const file = this.#take();
    if (file) await unlink(file.path);
  }

  #take(): Left | undefined {
    const file = this.#file;
    this.#file = undefined;
    clearInterval(this.#touching);
    return file;
  }
}

async function readId(path: string): Promise<string> {
  const status = await lstat(path);
  return status.isFile() && status.size <= maxIdBytes ? readFile(path, 'utf8') : '';
}
