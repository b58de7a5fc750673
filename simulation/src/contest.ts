/**
 * What several clients do at one path, and what may be seen there: the reference for paths that nobody has to himself.
 *
 * Of a file that is replaced, whoever replaced it: a reader sees wholly one of the writes, and none that another one had
 * certainly taken the place of. Who names the version that he replaces replaces exactly this one. Of a file that
 * is appended to: every reader sees the beginning of one and the same text, in which each record is whole, is there once
 * if it was acknowledged, at most once if nobody knows, and never if it was refused.
 */
import { createHash } from 'node:crypto';
import { type Outcome, afterUnknownMs } from './outcome.js';
import { Violation } from './violation.js';

/** One client's try to put something at a path. */
export interface Attempt {
  readonly what: string;
  /** Of a write the SHA-256 of the bytes; of an append the record. */
  readonly content: string;
  /** The version that it is to take the place of, 0 for none; undefined for whatever is there. */
  readonly expectedVersion: number | undefined;
  readonly beganMs: number;
  /** Infinity while it runs. */
  endedMs: number;
  outcome: Outcome | 'running';
  /** Of one that was acknowledged. */
  version: number;
}

export function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export class Contest {
  readonly path: string;
  readonly #nowMs: () => number;
  readonly #attempts: Attempt[] = [];
  /** The longest text that was seen of a file that is appended to. */
  #text = '';

  constructor(path: string, nowMs: () => number) {
    this.path = path;
    this.#nowMs = nowMs;
  }

  begin(what: string, content: string, expectedVersion?: number): Attempt {
    const attempt: Attempt = {
      ...{ what, content, expectedVersion, beganMs: this.#nowMs() },
      ...{ endedMs: Infinity, outcome: 'running', version: NaN },
    };
    this.#attempts.push(attempt);
    return attempt;
  }

  /** @param version that an acknowledged one made. @throws Violation */
  end(attempt: Attempt, outcome: Outcome, version = NaN): void {
    attempt.endedMs = this.#nowMs();
    attempt.outcome = outcome;
    attempt.version = version;
    if (outcome !== 'ok') return;
    for (const other of this.#acknowledged()) {
      if (other === attempt) continue;
      if (other.endedMs < attempt.beganMs && other.version >= version) {
        throw this.#violation(`${attempt.what} made version ${version} after ${other.what} was acknowledged`);
      }
      this.#checkSwap(attempt, other);
      this.#checkSwap(other, attempt);
    }
  }

  /** That nothing came between the version that was named and the one that took its place. */
  #checkSwap({ what, expectedVersion, version }: Attempt, other: Attempt): void {
    if (expectedVersion === undefined || other.version <= expectedVersion || other.version >= version) return;
    throw this.#violation(`${what} took the place of ${expectedVersion}, and ${other.what} came before`);
  }

  /** What a read that began then has seen: bytes, or undefined for no file. @throws Violation */
  checkRead(bytes: Buffer | undefined, beganMs: number): void {
    const before = this.#acknowledged().filter(({ endedMs }) => endedMs < beganMs);
    if (bytes === undefined) {
      if (before[0]) throw this.#violation(`nothing is there after ${before[0].what} was acknowledged`);
      return;
    }
    const content = digestOf(bytes);
    const seen = this.#attempts.find((attempt) => attempt.content === content);
    if (!seen) throw this.#violation(`${bytes.length} bytes are there that nobody wrote`);
    if (seen.outcome === 'failed') throw this.#violation(`${seen.what} is there, and was refused`);
    const later = before.find((other) => isLater(other, seen));
    if (later) throw this.#violation(`${seen.what} is there after ${later.what} was acknowledged`);
  }

  /** The same for a file that is appended to. @throws Violation */
  checkText(text: string, beganMs: number): void {
    const [short, long] = text.length < this.#text.length ? [text, this.#text] : [this.#text, text];
    if (!long.startsWith(short)) throw this.#violation('two reads disagree about what was appended');
    this.#text = long;
    const places = new Map<string, number>();
    for (const record of text.split(/(?<=\n)/)) {
      if (record === '') continue;
      const name = record.slice(0, 20);
      const attempt = this.#attempts.find(({ content }) => content === record);
      if (!attempt) throw this.#violation(`a record is there that nobody appended: ${name}`);
      if (attempt.outcome === 'failed') throw this.#violation(`${attempt.what} is there, and was refused`);
      if (places.has(record)) throw this.#violation(`${attempt.what} is there twice`);
      places.set(record, places.size);
    }
    const acknowledged = this.#acknowledged();
    for (const { content, what, endedMs } of acknowledged) {
      if (endedMs < beganMs && !places.has(content)) throw this.#violation(`${what} is not there`);
    }
    for (const one of acknowledged) {
      for (const other of acknowledged) {
        if (one.endedMs >= other.beganMs) continue;
        if ((places.get(one.content) ?? 0) <= (places.get(other.content) ?? Infinity)) continue;
        throw this.#violation(`${one.what} stands behind ${other.what}, which came after it`);
      }
    }
  }

  #acknowledged(): Attempt[] {
    return this.#attempts.filter(({ outcome }) => outcome === 'ok');
  }

  #violation(what: string): Violation {
    return new Violation(`${this.path}: ${what}`);
  }
}

/** Whether the acknowledged `other` certainly took effect after `seen`. */
function isLater(other: Attempt, seen: Attempt): boolean {
  if (seen.outcome === 'ok') return other.version > seen.version;
  return other.beganMs > seen.endedMs + afterUnknownMs;
}
