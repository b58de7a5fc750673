/**
 * What a cluster was asked to keep and what it answered: the manifest against which it is judged. Every change goes
 * through here, so that nothing that was acknowledged is forgotten, and a change whose answer did not come counts
 * for what it is: made or not made, but never half.
 */
import { type HoldfastClient, type UploadOptions, hasCode } from '@holdfast/client';
import { createHash } from 'node:crypto';
import { readAll } from './files.js';

/** The SHA-256 of a file in hexadecimal, or that there is none. */
type Content = string;
const absent: Content = 'absent';

function contentOf(bytes: Buffer): Content {
  return createHash('sha256').update(bytes).digest('hex');
}

export class Ledger {
  /** By path, what may be there: one thing, or two after an unknown outcome. */
  readonly #paths = new Map<string, Set<Content>>();
  /** Changes that were not acknowledged. */
  unknown = 0;

  /** Stores a file or replaces it. One change of a path at a time. */
  async upload(
    client: HoldfastClient,
    path: string,
    bytes: Buffer,
    options: UploadOptions = {},
  ): Promise<void> {
    await this.#change(path, contentOf(bytes), () =>
      client.upload(bytes, path, { overwrite: true, ...options }),
    );
  }

  async remove(client: HoldfastClient, path: string): Promise<void> {
    await this.#change(path, absent, () => client.remove(path));
  }

  async #change(path: string, after: Content, change: () => Promise<unknown>): Promise<void> {
    const before = this.#paths.get(path) ?? new Set([absent]);
    this.#paths.set(path, new Set([...before, after]));
    try {
      await change();
    } catch (error) {
      this.unknown += 1;
      throw error;
    }
    this.#paths.set(path, new Set([after]));
  }

  /** The paths at which something may be. */
  get paths(): string[] {
    return [...this.#paths]
      .filter(([, contents]) => [...contents].some((each) => each !== absent))
      .map(([path]) => path);
  }

  /** Reads a file as a user does. @throws Error if it is nothing that may be there */
  async check(client: HoldfastClient, path: string): Promise<void> {
    const found = await readAll(client.createReadStream(path)).then(contentOf, (error: unknown) => {
      if (hasCode(error, 'NOT_FOUND')) return absent;
      throw error;
    });
    const allowed = this.#paths.get(path) ?? new Set([absent]);
    if (!allowed.has(found)) throw new Error(`${path} is ${found}, not ${[...allowed].join(' or ')}`);
  }

  /** Reads every file; and nothing is there that should not be. All files are in the root directory. */
  async checkAll(client: HoldfastClient): Promise<void> {
    for (const path of this.#paths.keys()) await this.check(client, path);
    for await (const { path } of client.list('/')) {
      if (!this.#paths.has(path)) throw new Error(`${path} is there, and nobody stored it`);
    }
  }
}
