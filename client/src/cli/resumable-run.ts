/**
 * A run of a command that moves many files, which the same command goes on with if it is interrupted, killed or fails
 * in part: to the same place, and past the files that are there already with the same size and time.
 */
import { systemRandom } from '@holdfast/shared/node';
import type { HoldfastClient } from '../client.js';
import type { FileToDownload } from '../download/download-many.js';
import { stateDirectory } from '../local/state-directory.js';
import { TargetRecord, type ManyIdentity, type TargetTaken } from '../local/target-record.js';
import type { Entry } from '../ports/tracker-api.js';
import type { CommandContext } from './command.js';
import { differencesOf } from './differences.js';
import type { Progress } from './progress.js';
import type { Reporter } from './reporter.js';
import { type TreeNode, localTop, remoteNode } from './trees.js';

export class ResumableRun {
  readonly #report: Reporter;
  /** None where none can be written, or while another process is at the same command. */
  readonly #record: TargetRecord | undefined;
  #goesOn = false;
  #unchanged = 0;

  private constructor(report: Reporter, record: TargetRecord | undefined) {
    this.#report = report;
    this.#record = record;
  }

  /** @throws HoldfastError if the tracker does not say which cluster it is of */
  static async open(
    { flags, io, report, signal }: CommandContext,
    client: HoldfastClient,
    identity: Omit<ManyIdentity, 'clusterId'>,
  ): Promise<ResumableRun> {
    const directory = stateDirectory('targets', io.env);
    if (directory === undefined) return new ResumableRun(report, undefined);
    const { clusterId } = await client.status({ signal });
    let record: TargetRecord | undefined;
    try {
      record = await TargetRecord.open(directory, { ...identity, clusterId }, systemRandom);
      if (!flags.isSet('resume')) await (flags.isSet('dry-run') ? record?.release() : record?.forget());
    } catch (error) {
      report.debug(`the same command cannot go on with this one: ${String(error)}`);
    }
    return new ResumableRun(report, record);
  }

  /** Whether the target is what an earlier run made of its one source: nothing goes below it once more. */
  get isTargetOurs(): boolean {
    return this.#record?.isTargetOurs === true;
  }

  /** Whether an earlier run began with it. */
  get goesOn(): boolean {
    return this.#goesOn;
  }

  /** Files that were there already. */
  get unchanged(): number {
    return this.#unchanged;
  }

  /** @param make makes the directories that everything goes into; where that fails, there is nothing to go on with */
  async begin(taken: TargetTaken, make: () => Promise<void>): Promise<void> {
    this.#goesOn = (await this.#write((record) => record.begin(taken))) ?? false;
    this.#tellGoesOn();
    try {
      await make();
    } catch (error) {
      if (!this.#goesOn) await this.#write((record) => record.forget());
      throw error;
    }
  }

  /** For --dry-run: goes on as `begin` would, and leaves everything to the next run. */
  async preview(taken: TargetTaken): Promise<void> {
    this.#goesOn = this.#record?.isTaken(taken) ?? false;
    this.#tellGoesOn();
    await this.#write((record) => record.release());
  }

  /** Whether it goes on and the file is there; it counts as done then. */
  async isThere(file: TreeNode, there: TreeNode | undefined, progress?: Progress): Promise<boolean> {
    if (!this.#goesOn || !there || (await differencesOf(file, there)).length > 0) return false;
    const { sizeBytes } = file;
    this.#unchanged += 1;
    progress?.expect(sizeBytes, 1);
    progress?.moved(sizeBytes, sizeBytes);
    progress?.fileDone();
    return true;
  }

  /** The same of a file that is to be fetched. */
  async isFetched({ entry, localPath }: FileToDownload, progress?: Progress): Promise<boolean> {
    if (!this.#goesOn) return false;
    // What cannot be looked at is left to the download to complain about.
    const there = await localTop(localPath).catch(() => undefined);
    return this.isThere(remoteNode(entry, []), there, progress);
  }

  /** The same of a local file and what is at its remote place, if anything. */
  async isStored(local: string, there: Entry | undefined, progress?: Progress): Promise<boolean> {
    if (!this.#goesOn || !there || local === '-') return false;
    return this.isThere(await localTop(local), remoteNode(there, []), progress);
  }

  /** It came to its end; `failed` files could not be moved. */
  async end(failed: number): Promise<void> {
    if (failed === 0) await this.#write((record) => record.forget());
    else await this.#leave('the same command tries again what failed');
  }

  /** It was interrupted, or ended by what concerns all files. */
  async interrupted(): Promise<void> {
    await this.#leave('the same command goes on where it was');
  }

  #tellGoesOn(): void {
    if (!this.#goesOn || this.#report.quiet) return;
    this.#report.warn(
      'going on with a run that did not end well, past files that are there with the same size and time ' +
        '(--no-resume begins anew)',
    );
  }

  async #leave(words: string): Promise<void> {
    const isLeft = await this.#write(async (record) => {
      await record.release();
      return true;
    });
    if (isLeft === true) this.#report.warn(words);
  }

  /** A record that cannot be written is no reason to move nothing. */
  async #write<T>(work: (record: TargetRecord) => Promise<T>): Promise<T | undefined> {
    try {
      return this.#record && (await work(this.#record));
    } catch (error) {
      this.#report.debug(`the same command cannot go on with this one: ${String(error)}`);
      return undefined;
    }
  }
}
