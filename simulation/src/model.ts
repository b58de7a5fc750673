/**
 * What the cluster was asked to keep, and what it answered: the reference against which it is judged. An outcome is ok,
 * failed or unknown; after an unknown one a path may show what it showed before or what it was to show, and nothing
 * else.
 */
import { createHash } from 'node:crypto';

/** What a path may show: a file's bytes by their SHA-256, or nothing. */
export type Content = string;
export const absent: Content = 'absent';

export class Model {
  readonly #paths = new Map<string, Set<Content>>();
  /** What may have been at a path until a change of it was acknowledged. */
  readonly #former = new Map<string, Set<Content>>();
  readonly #bytes = new Map<Content, Buffer>();

  contentOf(bytes: Buffer): Content {
    const content = createHash('sha256').update(bytes).digest('hex');
    this.#bytes.set(content, bytes);
    return content;
  }

  bytesOf(content: Content): Buffer {
    return this.#bytes.get(content) ?? Buffer.alloc(0);
  }

  /** Every path that ever was spoken of. */
  get paths(): string[] {
    return [...this.#paths.keys()];
  }

  /** What may be at a path. */
  allowed(path: string): ReadonlySet<Content> {
    return this.#paths.get(path) ?? new Set([absent]);
  }

  /** The one thing that is there, or undefined if nobody can know. */
  known(path: string): Content | undefined {
    const allowed = this.allowed(path);
    return allowed.size === 1 ? [...allowed][0] : undefined;
  }

  /** What a restore of a path may bring back: what was there or may have been, and nothing that was refused. */
  restorable(path: string): ReadonlySet<Content> {
    const ever = new Set([...(this.#former.get(path) ?? []), ...this.allowed(path)]);
    ever.delete(absent);
    return ever;
  }

  /** A change was acknowledged. */
  is(path: string, content: Content): void {
    this.isOneOf(path, new Set([content]));
  }

  /** A change was acknowledged that shows one of these, and which one only the cluster knows. */
  isOneOf(path: string, contents: ReadonlySet<Content>): void {
    this.#former.set(path, new Set([...(this.#former.get(path) ?? []), ...this.allowed(path)]));
    this.#paths.set(path, new Set(contents));
  }

  /** What was at a path before was given up for good. */
  gaveUp(path: string): void {
    this.#former.delete(path);
  }

  /** Which of the things that may be there is. */
  saw(path: string, content: Content): void {
    this.#paths.set(path, new Set([content]));
  }

  /** A change has begun, or nobody knows what became of it. */
  maybe(path: string, ...contents: readonly Content[]): void {
    this.#paths.set(path, new Set([...this.allowed(path), ...contents]));
  }

  /** Sets back what `maybe` said, after a change that certainly was not made. */
  was(path: string, before: ReadonlySet<Content>): void {
    this.#paths.set(path, new Set(before));
  }
}
