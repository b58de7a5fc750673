/**
 * What a cluster was asked to keep and what it answered: the manifest against which it is judged. Every change goes
 * through here, so that nothing that was acknowledged is forgotten, and a change whose answer did not come counts
 * for what it is: made or not made, but never half.
 */
import {
  type ErrorCode,
  type HoldfastClient,
  HoldfastError,
  type UploadOptions,
  hasCode,
} from '@holdfast/client';
import { readAll } from './files.js';

/** The bytes of a file, or that there is none. */
export type Content = Buffer | 'absent';

/** A promise that is broken, whatever else went wrong: nothing that a client may shrug off. */
export class Violation extends Error {}

/** Refusals, which say that nothing was done. */
const refusals: readonly ErrorCode[] = [
  ...(['NOT_FOUND', 'ALREADY_EXISTS', 'NOT_EMPTY', 'NOT_A_DIRECTORY', 'IS_A_DIRECTORY'] as const),
  ...(['VERSION_CONFLICT', 'OUT_OF_SPACE', 'NOT_ENOUGH_KEEPERS', 'LIMIT_EXCEEDED'] as const),
];

const isSame = (one: Content, other: Content): boolean =>
  one === 'absent' || other === 'absent' ? one === other : one.equals(other);

type Contents = ReadonlyMap<string, readonly Content[]>;

/** A change of several paths whose answer did not come. */
interface OpenChange {
  readonly before: Contents;
  readonly after: Contents;
}

export class Ledger {
  /** By path, what may be there: one thing, or several after unknown outcomes. */
  readonly #paths = new Map<string, readonly Content[]>();
  /** Those that no later change of one of their paths has made obsolete. */
  readonly #open = new Set<OpenChange>();
  /** Changes of which nobody learnt whether they were made. */
  unknown = 0;

  /** Stores a file or replaces it. One change of a path at a time. */
  async upload(
    client: HoldfastClient,
    path: string,
    bytes: Buffer,
    options: UploadOptions = {},
  ): Promise<void> {
    await this.change([[path, bytes]], () => client.upload(bytes, path, { overwrite: true, ...options }));
  }

  async remove(client: HoldfastClient, path: string): Promise<void> {
    const wasThere = this.known(path) instanceof Buffer;
    await this.change([[path, 'absent']], () => client.remove(path)).catch((error: unknown) => {
      // A refusal is an answer like any other: what was acknowledged is there to be removed.
      if (!wasThere || !hasCode(error, 'NOT_FOUND')) throw error;
      throw new Violation(`${path} was acknowledged, and cannot be removed: ${String(error)}`);
    });
  }

  /** Stores many files or replaces them, each by itself. @throws the first error, when all have ended */
  async uploadMany(
    client: HoldfastClient,
    files: readonly { readonly path: string; readonly bytes: Buffer }[],
  ): Promise<void> {
    const ends = new Map<string, (error?: HoldfastError) => void>();
    const changes = files.map(({ path, bytes }) => {
      const ended = new Promise<void>((resolve, reject) => {
        ends.set(path, (error) => (error ? reject(error) : resolve()));
      });
      return this.change([[path, bytes]], () => ended);
    });
    const settled = Promise.allSettled(changes);
    const sources = files.map(({ path, bytes }) => ({ path, source: bytes }));
    for await (const { file, error } of client.uploadMany(sources, { overwrite: true })) {
      ends.get(file.path)?.(error);
    }
    const failed = (await settled).find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Appends `more`, after which the file is `whole`. */
  async append(client: HoldfastClient, path: string, more: Buffer, whole: Buffer): Promise<void> {
    await this.change([[path, whole]], () => client.append(more, path));
  }

  /** Moves a file: it is at both paths at no time, and at none at no time. */
  async move(client: HoldfastClient, from: string, to: string): Promise<void> {
    const changes = [[from, 'absent'] as const, [to, this.#allowed(from)] as const];
    await this.change(changes, () => client.move(from, to, { overwrite: true }));
  }

  async copy(client: HoldfastClient, from: string, to: string): Promise<void> {
    await this.change([[to, this.#allowed(from)]], () => client.copy(from, to, { overwrite: true }));
  }

  /**
   * Makes a change of one or more paths, whose answer is for all of them. One change of a path at a time.
   *
   * @param changes what each path has afterwards: one thing, or one of several
   * @throws what `change` throws; Violation if that is an error that never may be
   */
  async change(
    changes: readonly (readonly [path: string, after: Content | readonly Content[]])[],
    change: () => Promise<unknown>,
  ): Promise<void> {
    const before = new Map(changes.map(([path]) => [path, this.#allowed(path)]));
    const after = new Map(changes.map(([path, contents]) => [path, several(contents)]));
    for (const open of this.#open) {
      if ([...after.keys()].some((path) => open.after.has(path))) this.#open.delete(open);
    }
    for (const [path, contents] of after) this.#paths.set(path, [...this.#allowed(path), ...contents]);
    try {
      await change();
    } catch (error) {
      if (hasCode(error, 'INTERNAL', 'DATA_LOSS')) {
        throw new Violation(`a change of ${[...after.keys()].join()} ended with ${String(error)}`);
      }
      if (isRefusal(error)) {
        for (const [path, contents] of before) this.#paths.set(path, contents);
      } else {
        this.unknown += 1;
        if (after.size > 1) this.#open.add({ before, after });
      }
      throw error;
    }
    for (const [path, contents] of after) this.#paths.set(path, contents);
  }

  #allowed(path: string): readonly Content[] {
    return this.#paths.get(path) ?? ['absent'];
  }

  /** The one thing that is at a path, or undefined if nobody can know. */
  known(path: string): Content | undefined {
    const [only, ...others] = this.#allowed(path);
    return others.length === 0 ? only : undefined;
  }

  /** The paths at which something may be. */
  get paths(): string[] {
    return [...this.#paths]
      .filter(([, contents]) => contents.some((each) => each !== 'absent'))
      .map(([path]) => path);
  }

  /**
   * Reads a file as a user does, or bytes `start` to `end` of it (`end` included). Resolves to what it found.
   *
   * @throws Violation if that is nothing that may be there, or what reading throws
   */
  async check(client: HoldfastClient, path: string, start = 0, end = Infinity): Promise<Content> {
    const before = this.#allowed(path);
    const range = { start, ...(end < Infinity && { end }) };
    const found = await readAll(client.createReadStream(path, range)).catch((error: unknown): 'absent' => {
      if (hasCode(error, 'NOT_FOUND')) return 'absent';
      if (hasCode(error, 'INTERNAL')) throw new Violation(`reading ${path} ended with ${String(error)}`);
      throw error;
    });
    // Whoever reads beside a change may see what was there before it, or after.
    const allowed = [...before, ...this.#allowed(path)];
    const part = (content: Content): Content =>
      content === 'absent' ? content : content.subarray(start, end + 1);
    if (allowed.some((content) => isSame(part(content), found))) return found;
    throw new Violation(`${path} is ${shown(found)}, not ${allowed.map(part).map(shown).join(' or ')}`);
  }

  /** Reads every file; and nothing is there that should not be. */
  async checkAll(client: HoldfastClient): Promise<void> {
    const found = new Map<string, Content>();
    for (const path of this.#paths.keys()) found.set(path, await this.check(client, path));
    for (const { before, after } of this.#open) {
      const is = (contents: Contents): boolean =>
        [...contents].every(([path, allowed]) =>
          allowed.some((content) => isSame(content, found.get(path) ?? 'absent')),
        );
      if (!is(before) && !is(after)) throw new Violation(`half of a change: ${[...after.keys()].join(', ')}`);
    }
    for await (const { path, type } of client.list('/', { depth: Infinity })) {
      if (type === 'file' && !this.#paths.has(path))
        throw new Violation(`${path} is there, and nobody stored it`);
    }
  }

  /** The same when nothing is on its way any more: from now on only what was found may be there. */
  async settle(client: HoldfastClient): Promise<void> {
    await this.checkAll(client);
    this.#open.clear();
    for (const [path, contents] of this.#paths) {
      if (contents.length > 1) this.#paths.set(path, [await this.check(client, path)]);
    }
  }
}

function several(contents: Content | readonly Content[]): readonly Content[] {
  return contents === 'absent' || Buffer.isBuffer(contents) ? [contents] : contents;
}

/** Whether an error says for certain that nothing was done. */
export function isRefusal(error: unknown): boolean {
  return hasCode(error, ...refusals) && !(HoldfastError.is(error) && error.facts['outcome'] === 'unknown');
}

function shown(content: Content): string {
  if (content === 'absent') return content;
  return `${content.length} bytes ${content.toString('hex', 0, 8)}…`;
}
