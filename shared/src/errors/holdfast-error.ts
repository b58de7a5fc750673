/**
 * The one error that Holdfast throws. It says what happened (message), what kind of thing that is (code), what
 * to do about it (remedy), and keeps the cause for the log of the process that saw it; the cause never travels.
 */
import { type ErrorCode, errorCodes, exitStatus } from './error-codes.js';

export interface HoldfastErrorOptions {
  /** What led to it. Kept in the process, never sent. */
  readonly cause?: unknown;
  /** What a person can do about it, as a sentence. */
  readonly remedy?: string;
  /** Small facts for programs. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
  /** How long to wait before a retry, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Overrides the code's own answer to "may the same request succeed later?". */
  readonly retryable?: boolean;
}

/** Marks instances across copies of this package, where `instanceof` would not. */
const marker = Symbol.for('holdfast.error');

/** The one error that Holdfast throws; `message` says what happened, `cause` what led to it. */
export class HoldfastError extends Error {
  /** What kind of thing happened: one of a closed set. */
  readonly code: ErrorCode;
  /** What a person can do about it, as a sentence; '' if nothing is known to help. */
  readonly remedy: string;
  /** Small facts for programs, by name. */
  readonly facts: Readonly<Record<string, string>>;
  /** Whether the same request may succeed later as it stands. */
  readonly retryable: boolean;
  /** How long to wait before that, in milliseconds; 0 if nobody knows. */
  readonly retryAfterMs: number;
  readonly [marker] = true;

  constructor(code: ErrorCode, message: string, options: HoldfastErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'HoldfastError';
    this.code = code;
    this.remedy = options.remedy ?? '';
    this.facts = Object.freeze(
      Object.fromEntries(Object.entries(options.facts ?? {}).map(([key, value]) => [key, String(value)])),
    );
    this.retryable = options.retryable ?? errorCodes[code].retryable;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }

  /** True for a HoldfastError of this or of another copy of the package. */
  static is(value: unknown): value is HoldfastError {
    return typeof value === 'object' && value !== null && marker in value;
  }
}

/** True if `value` is a HoldfastError with one of the codes. */
export function hasCode(value: unknown, ...codes: readonly ErrorCode[]): value is HoldfastError {
  return HoldfastError.is(value) && codes.includes(value.code);
}

/** The status a program ends with because of `error`. Anything that is not a HoldfastError is a failure (1). */
export function exitStatusOf(error: unknown): number {
  return HoldfastError.is(error) ? errorCodes[error.code].exit : exitStatus.failed;
}
