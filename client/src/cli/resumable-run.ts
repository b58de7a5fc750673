/**
 * A run of a command that moves many files, which the same command goes on with if it is interrupted, killed or fails
 * in part: to the same place, and past the files that are there already with the same size and time.
 */
import { systemRandom } from '@holdfast/shared/node';
import { hasCode } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import type { FileToDownload } from '../download/download-many.js';
import { stateDirectory } from '../local/state-directory.js';
import { TargetRecord, type ManyIdentity, type TargetTaken } from '../local/target-record.js';
import type { Entry } from '../ports/tracker-api.js';
import type { CommandContext } from './command.js';
import { differencesOf } from './differences.js';
import type { Progress } from './progress.js';
import { type TreeNode, localTop, remoteNode } from './trees.js';

export class ResumableRun {
  readonly #context: CommandContext;
  /** None where none can be written, or while another process is at the same command. */
  readonly #record: TargetRecord | undefined;
  #taken: TargetTaken = 'into';
  #goesOn = false;
  #unchanged = 0;

  private constructor(context: CommandContext, record: TargetRecord | undefined) {
    this.#context = context;
    this.#record = record;
  }

  /** @throws HoldfastError if the tracker does not say which cluster it is of */
  static async open(
    context: CommandContext,
    client: HoldfastClient,
    identity: Omit<ManyIdentity, 'clusterId'>,
  ): Promise<ResumableRun> {
    const { io, report, signal } = context;
    const directory = stateDirectory('targets', io.env);
    if (directory === undefined) return new ResumableRun(context, undefined);
    const { clusterId } = await client.status({ signal });
    let record: TargetRecord | undefined;
    try {
      record = await TargetRecord.open(directory, { ...identity, clusterId }, systemRandom);
      if (!record) report.warn('another process is at the same command; this one does not go on with it');
    } catch (error) {
      report.debug(noRecord(error));
    }
    return new ResumableRun(context, record);
  }

  /**
   * How it takes a target.
   *
   * @param targetId of the directory that is there, whatever tells it from one that is made later; undefined if there is none
   */
  takes(targetId: string | undefined): TargetTaken {
    const isOurs = this.#resumes && targetId !== undefined && this.#record?.isTargetOurs(targetId) === true;
    this.#taken = targetId === undefined || isOurs ? 'as' : 'into';
    return this.#taken;
  }

  /** Whether an earlier run began with it. */
  get goesOn(): boolean {
    return this.#goesOn;
  }

  /** Files that were there already. */
  get unchanged(): number {
    return this.#unchanged;
  }

  /** @param make makes the directories that everything goes into, and resolves to the id of the target */
  async begin(make: () => Promise<string>): Promise<void> {
    if (!this.#resumes) await this.#write((record) => record.forget());
    this.#goesOn = (await this.#write((record) => record.begin(this.#taken))) ?? false;
    this.#tellGoesOn();
    try {
      const targetId = await make();
      await this.#write((record) => record.made(targetId));
    } catch (error) {
      // Where it was refused there is nothing to go on with; where nobody knows, it may have been made.
      const isRefused = !hasCode(error, 'CANCELLED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED');
      await this.#write((record) => (isRefused && !this.#goesOn ? record.forget() : record.release()));
      throw error;
    }
  }

  /** For --dry-run: goes on as `begin` would, and leaves everything to the next run. */
  async preview(): Promise<void> {
    this.#goesOn = this.#resumes && this.#record?.isTaken(this.#taken) === true;
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
    // What cannot be looked at is left to the upload to complain about.
    const file = await localTop(local).catch(() => undefined);
    return file !== undefined && this.isThere(file, remoteNode(there, []), progress);
  }

  /** It came to its end: so many files were moved, and so many could not be. */
  async end(moved: number, failed: number): Promise<void> {
    // What was in a directory before the first run came is not what that one left.
    const isNothingLeft = failed === 0 || (this.#taken === 'into' && moved === 0 && !this.#goesOn);
    if (isNothingLeft) await this.#write((record) => record.forget());
    else await this.#leave('the same command tries again what failed');
  }

  /** It was interrupted, or ended by what concerns all files. */
  async interrupted(): Promise<void> {
    const { io, report } = this.#context;
    if (await this.#leave('the same command goes on where it was')) return;
    report.warn(`the same command begins anew; ${io.program} sync copies what is missing`);
  }

  get #resumes(): boolean {
    return this.#context.flags.isSet('resume');
  }

  #tellGoesOn(): void {
    const { report } = this.#context;
    if (!this.#goesOn || report.quiet) return;
    report.warn(
      'going on with a run that did not end well, past files that are there with the same size and time ' +
        '(--no-resume begins anew)',
    );
  }

  /** Resolves to whether there is anything to leave. */
  async #leave(words: string): Promise<boolean> {
    const isLeft = await this.#write(async (record) => {
      await record.release();
      return true;
    });
    if (isLeft === true) this.#context.report.warn(words);
    return isLeft === true;
  }

  /** A record that cannot be written is no reason to move nothing. */
  async #write<T>(work: (record: TargetRecord) => Promise<T>): Promise<T | undefined> {
    try {
      return this.#record && (await work(this.#record));
    } catch (error) {
      this.#context.report.warn(noRecord(error));
      return undefined;
    }
  }
}

function noRecord(error: unknown): string {
  return `how far this run is cannot be written down for the next one: ${String(error)}`;
}
