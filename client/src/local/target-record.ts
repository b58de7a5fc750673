/**
 * How a command that moves many files took its target, as long as it has not ended well: its first run makes the
 * directory, so that the next one, asked the same, would see another case. All that is recorded is in the name of an
 * empty file, which belongs to no more than one process (owned-file.ts). Nothing is synced: after a power cut the
 * next run may begin anew.
 */
import { createHash } from 'node:crypto';
import { mkdir, unlink, utimes, writeFile } from 'node:fs/promises';
import type { Random } from '@holdfast/shared';
import { type Family, type OwnedFile, claim, ownPath, release, sweep } from './owned-file.js';

/** As of uploads: whoever comes back later than the next day may mean something else by the same words. */
const keptMs = 24 * 60 * 60_000;

/** 'into': the sources went into the target, under their names; 'as': the one source became the target. */
export type TargetTaken = 'into' | 'as';

/** What a command is known by: one that differs in any of it is another one. */
export interface ManyIdentity {
  readonly verb: 'upload' | 'download';
  readonly clusterId: string;
  readonly sources: readonly string[];
  readonly target: string;
}

export class TargetRecord {
  readonly #family: Family;
  readonly #random: Random;
  #file: OwnedFile | undefined;

  private constructor(family: Family, random: Random, file: OwnedFile | undefined) {
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
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const identity = JSON.stringify([verb, clusterId, sources, target]);
    const stem = createHash('sha256').update(identity).digest('hex').slice(0, 32);
    const family: Family = { directory, stem, ending: 'target' };
    await sweep(family, keptMs);
    const { claimed, inUse } = await claim(family, random);
    const [first, ...more] = claimed.filter(({ label }) => label === 'into' || label === 'as');
    for (const { path } of more) await unlink(path);
    if (!inUse) return new TargetRecord(family, random, first);
    if (first) await unlink(first.path);
    return undefined;
  }

  /** Whether an earlier run, which has not ended well, made the target of its source. */
  get isTargetOurs(): boolean {
    return this.isTaken('as');
  }

  /** Whether an earlier run, which has not ended well, took it so. */
  isTaken(taken: TargetTaken): boolean {
    return this.#file?.label === taken;
  }

  /** Resolves to whether an earlier run took it so. */
  async begin(taken: TargetTaken): Promise<boolean> {
    const now = new Date();
    if (this.#file && this.isTaken(taken)) {
      await utimes(this.#file.path, now, now);
      return true;
    }
    await this.forget();
    const path = await ownPath(this.#family, taken, this.#random);
    await writeFile(path, '', { flag: 'wx', mode: 0o600 });
    this.#file = { path, label: taken };
    return false;
  }

  /** Leaves it to the next run. */
  async release(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file) await release(this.#family, file, this.#random);
  }

  async forget(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file) await unlink(file.path);
  }
}
