/**
 * A run of a command that moves many files, which the same command goes on with if it is interrupted, killed or fails
 * in part: to the same place, and past the files that are there already with the same size and time.
 */
import { systemRandom } from '@holdfast/shared/node';
import type { HoldfastClient } from '../client.js';
import { stateDirectory } from '../local/state-directory.js';
import { TargetRecord, type ManyIdentity, type TargetTaken } from '../local/target-record.js';
import type { CommandContext } from './command.js';
import { differencesOf } from './differences.js';
import type { Progress } from './progress.js';
import type { Reporter } from './reporter.js';
import type { TreeNode } from './trees.js';

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
      if (!flags.isSet('resume')) await record?.forget();
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
    if (this.#goesOn && !this.#report.quiet) {
      this.#report.warn(
        'going on with a run that did not end well, past files that are there with the same size and time ' +
          '(--no-resume begins anew)',
      );
    }
    try {
      await make();
    } catch (error) {
      if (!this.#goesOn) await this.#write((record) => record.forget());
      throw error;
    }
  }

  /** Whether it goes on and the file is there; it counts as done then. */
  async isThere(file: TreeNode, there: TreeNode | undefined, progress: Progress): Promise<boolean> {
    if (!this.#goesOn || !there || (await differencesOf(file, there)).length > 0) return false;
    const { sizeBytes } = file;
    this.#unchanged += 1;
    progress.expect(sizeBytes, 1);
    progress.moved(sizeBytes, sizeBytes);
    progress.fileDone();
    return true;
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

  /** Nothing was to be moved. */
  async release(): Promise<void> {
    await this.#write((record) => record.release());
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
