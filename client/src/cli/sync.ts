/**
 * Makes the destination of a sync like its source: goes through both at once, has what differs copied meanwhile, and
 * removes last. Memory is flat in the number of entries.
 */
import { HoldfastError } from '@holdfast/shared';
import type { TransferProgress } from '../upload/upload.js';
import type { Batch } from './batch.js';
import { type SameContent, differencesOf } from './differences.js';
import { Beside } from '../core/beside.js';
import { filesAtOnce, forEachOf } from '../core/for-each.js';
import type { IsExcluded } from './path-pattern.js';
import { type Progress, expecting, movedOf } from './progress.js';
import { type Reporter, asHoldfastError } from './reporter.js';
import { type Side, directoryAt } from './sync-sides.js';
import { type CopyReason, type Step, stepFor } from './sync-plan.js';
import { type Pair, pairsOf } from './tree-pairs.js';
import type { TreeNode } from './trees.js';

/** A file that differs. */
export interface FileToCopy<N> {
  readonly source: N;
  /** Its path at the destination; a file there is replaced. */
  readonly to: string;
  readonly why: readonly CopyReason[];
}

/** What became of a file. */
type CopyOutcome<N> =
  | {
      readonly file: FileToCopy<N>;
      readonly result: { readonly sizeBytes: number };
      readonly error?: undefined;
    }
  | { readonly file: FileToCopy<N>; readonly result?: undefined; readonly error: unknown };

/** Copies many files and yields what became of each. `onProgress` is told the bytes of all of them. */
export type CopyFiles<N> = (
  files: AsyncIterable<FileToCopy<N>>,
  onProgress: (progress: TransferProgress) => void,
) => AsyncIterable<CopyOutcome<N>>;

export interface SyncOptions<S, D> {
  readonly copyFiles: CopyFiles<S>;
  /** Given if contents are to be compared, not times. */
  readonly sameContent?: SameContent<S, D> | undefined;
  readonly isExcluded: IsExcluded | undefined;
  /** Whether what is only at the destination goes. */
  readonly mayDelete: boolean;
  /** Only says what would be done. */
  readonly dryRun: boolean;
  readonly batch: Batch;
  readonly progress: Progress;
  readonly report: Reporter;
  readonly signal: AbortSignal;
}

export class Sync<S extends TreeNode, D extends TreeNode> {
  readonly #source: Side<S>;
  readonly #destination: Side<D>;
  readonly #options: SyncOptions<S, D>;
  readonly #making = new Beside();
  /** Parts of the source that could not be read. */
  #unknown = 0;
  /** Files that do not differ. */
  unchanged = 0;
  removed = 0;

  constructor(source: Side<S>, destination: Side<D>, options: SyncOptions<S, D>) {
    this.#source = source;
    this.#destination = destination;
    this.#options = options;
  }

  /** @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY of one of the two, and what concerns everything */
  async run(): Promise<void> {
    const left = await directoryAt(this.#source, 'the source');
    const there = await this.#destination.top();
    const right = there && (await directoryAt(this.#destination, 'the destination'));
    const top = { left, ...(right && { right }) };
    await this.#copyAll(this.#filesToCopy(top));
    if (!this.#options.mayDelete || !right) return;
    const one = (): number => 1;
    await forEachOf(this.#toRemove(top), filesAtOnce, one, (node) => this.#remove(node));
  }

  /** The files that differ; their directories are made on the way. */
  async *#filesToCopy(top: Pair<S, D>): AsyncGenerator<FileToCopy<S>, void, undefined> {
    let goesInto = false;
    for await (const pair of this.#pairs(top, () => goesInto)) {
      const { left, right } = pair;
      goesInto = false;
      if (!left) continue;
      const error = pair.unreadable ?? left.error;
      if (error) this.#unknown += 1;
      const step: Step = error ? { kind: 'refuse', error } : await this.#stepFor(left, right);
      const to = await this.#prepare(left, right, step);
      if (step.kind === 'copy' && to !== undefined) yield { source: left, to, why: step.why };
      goesInto = to !== undefined && left.type === 'directory';
    }
    await this.#making.ended();
  }

  #pairs(top: Pair<S, D>, goesInto: () => boolean): AsyncGenerator<Pair<S, D>, void, undefined> {
    const { isExcluded } = this.#options;
    return pairsOf(this.#source.tree(isExcluded), this.#destination.tree(isExcluded), top, goesInto);
  }

  async #stepFor(left: S, right: D | undefined): Promise<Step> {
    const { sameContent, mayDelete, signal } = this.#options;
    try {
      return stepFor(left, right, right ? await differencesOf(left, right, sameContent) : [], mayDelete);
    } catch (error) {
      if (signal.aborted) throw error;
      return { kind: 'refuse', error: asHoldfastError(error) };
    }
  }

  /**
   * Does what comes before any copying and resolves to the place at the destination; undefined if that cannot be done,
   * or there is no going on here.
   */
  async #prepare(source: S, destination: D | undefined, step: Step): Promise<string | undefined> {
    const { batch, signal } = this.#options;
    const path = source.names.join('/');
    let place: string | undefined;
    await batch.run({ path }, signal, async () => {
      if (step.kind === 'refuse') throw step.error;
      if (step.kind === 'skip') return batch.skip(step.why);
      if (step.kind === 'none' && source.type === 'file') this.unchanged += 1;
      if (step.kind !== 'none' && step.replaces && destination) await this.#clear(destination);
      if (step.kind === 'make') await this.#make(source);
      place = this.#destination.placeOf(source.names);
    });
    return place;
  }

  /** Goes on beside the copying where that is possible: it is a round trip for each directory. */
  async #make(directory: S): Promise<void> {
    const { batch, signal, dryRun } = this.#options;
    const { names } = directory;
    const make = async (): Promise<void> => {
      if (!dryRun) await this.#destination.makeDirectory(names);
      if (names.length > 0) this.#tell('+', 'made', directory, {});
    };
    // Without the top there is nothing to go on with.
    if (dryRun || names.length === 0 || !this.#destination.makesParents) await make();
    else await this.#making.start(() => batch.run({ path: names.join('/') }, signal, make));
  }

  /** Removes what is in the way of an entry of another type. */
  async #clear(node: D): Promise<void> {
    if (await this.#holdsExcluded(node)) {
      const message = `${JSON.stringify(node.names.join('/'))} is in the way, and what is excluded is in it`;
      throw new HoldfastError('NOT_EMPTY', message, { remedy: 'Remove it at the destination first.' });
    }
    if (!this.#options.dryRun) await this.#destination.remove(node.names);
  }

  async #holdsExcluded(node: D): Promise<boolean> {
    const { isExcluded } = this.#options;
    if (!isExcluded || node.type !== 'directory') return false;
    for await (const below of await this.#destination.tree().open(node)) {
      if (isExcluded(below.names, below.type === 'directory')) return true;
      if (await this.#holdsExcluded(below)) return true;
    }
    return false;
  }

  async #copyAll(files: AsyncGenerator<FileToCopy<S>, void, undefined>): Promise<void> {
    const { batch, progress, signal, dryRun, copyFiles } = this.#options;
    if (dryRun) {
      for await (const { source, why } of files) {
        batch.done(source.sizeBytes);
        this.#tellCopied(source, source.sizeBytes, why);
      }
      return;
    }
    const counted = expecting(progress, files, ({ source }) => source.sizeBytes);
    for await (const { file, result, error } of copyFiles(counted, movedOf(progress))) {
      const { source, why } = file;
      await batch.run({ path: source.names.join('/') }, signal, async () => {
        if (!result) throw error;
        progress.fileDone();
        batch.done(result.sizeBytes);
        this.#tellCopied(source, result.sizeBytes, why);
      });
    }
  }

  #tellCopied(source: S, sizeBytes: number, why: readonly CopyReason[]): void {
    this.#tell(why.includes('new') ? '+' : '~', 'copied', source, { sizeBytes, why });
  }

  /** What is only at the destination, a directory as a whole unless something in it is excluded. */
  async *#toRemove(top: Pair<S, D>): AsyncGenerator<D, void, undefined> {
    let goesInto = false;
    if (this.#isUnknown()) return;
    for await (const { left, right, unreadable } of this.#pairs(top, () => goesInto)) {
      goesInto = false;
      if (unreadable ?? left?.error) this.#unknown += 1;
      if (this.#isUnknown()) return;
      if (!right) continue;
      goesInto = left?.type === 'directory' || (!left && (await this.#holdsExcluded(right)));
      if (!left && !goesInto) yield right;
    }
  }

  /** What is not known to be gone from the source is not removed, nor is anything else. */
  #isUnknown(): boolean {
    if (this.#unknown === 0) return false;
    this.#options.report.warn('nothing more is removed: not all could be read');
    return true;
  }

  async #remove(node: D): Promise<void> {
    const { batch, signal, dryRun } = this.#options;
    await batch.run({ path: node.names.join('/') }, signal, async () => {
      if (node.error) throw node.error;
      // What has come to the source since it was looked through stays.
      if (await this.#source.has(node.names)) return;
      if (!dryRun) await this.#destination.remove(node.names);
      this.removed += 1;
      this.#tell('-', 'removed', node, {});
    });
  }

  #tell(
    mark: string,
    event: string,
    { names, type }: TreeNode,
    more: Readonly<Record<string, unknown>>,
  ): void {
    const { report, dryRun } = this.#options;
    const path = names.join('/');
    const words = `${mark} ${report.name(path)}${type === 'directory' ? '/' : ''}`;
    report.done(words, { event, path, type, ...more, ...(dryRun && { dryRun }) });
  }
}
