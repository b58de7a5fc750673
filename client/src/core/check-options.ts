/**
 * What callers hand over, checked once at the edge: a program in plain JavaScript has no compiler that would tell it
 * of a wrong type, and a wrong one must not surface as a TypeError from the depths or, worse, as a default.
 *
 * An option's name means the same in every call, so one table serves all of them. Ranges that depend on more than the
 * value are checked where they are used.
 */
import { HoldfastError } from '@holdfast/shared';

interface Kind {
  readonly words: string;
  readonly fits: (value: unknown) => boolean;
}

const flag: Kind = { words: 'true or false', fits: (value) => typeof value === 'boolean' };
const text: Kind = { words: 'a string', fits: (value) => typeof value === 'string' };
const listener: Kind = { words: 'a function', fits: (value) => typeof value === 'function' };
const number: Kind = { words: 'a number', fits: (value) => typeof value === 'number' };
const whole: Kind = {
  words: 'a whole number from 0 on',
  fits: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
};
const signal: Kind = { words: 'an AbortSignal', fits: (value) => value instanceof AbortSignal };
const object: Kind = { words: 'an object', fits: (value) => typeof value === 'object' && value !== null };

const encoding: Kind = {
  words: 'a string or null',
  fits: (value) => value === null || typeof value === 'string',
};

const place: Kind = {
  words: 'true, false or a directory',
  fits: (value) => typeof value === 'boolean' || (typeof value === 'string' && value !== ''),
};

const kinds = new Map<string, Kind>(
  Object.entries({
    ...{ signal, onResume: listener, onProgress: listener, onWaiting: listener, onCursor: listener },
    ...{ overwrite: flag, createParents: flag, recursive: flag, parents: flag, follow: flag },
    ...{ create: flag, fetch: flag, resume: place },
    ...{ expectedVersion: whole, version: whole, afterEventId: whole, maxBytes: whole },
    ...{ replicas: whole, minWrite: whole, limit: whole },
    ...{ concurrency: number, chunkSizeBytes: number, start: number, end: number, depth: number },
    ...{ memoryBytes: number, to: text, cursor: text, encoding, tracker: text, attributes: object },
  }),
);

/** A value as an error may show it: strings and numbers themselves, of others what they are. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100));
  if (value === null || ['undefined', 'number', 'boolean', 'bigint'].includes(typeof value)) {
    return String(value);
  }
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/**
 * Throws unless each known option that is there is of its kind. Others are left alone, so that a program may hand the
 * same options to several calls.
 *
 * @throws HoldfastError INVALID_ARGUMENT
 */
export function checkOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw new HoldfastError('INVALID_ARGUMENT', `the options must be an object, not ${shown(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    const kind = kinds.get(name);
    if (value !== undefined && kind && !kind.fits(value)) {
      throw new HoldfastError('INVALID_ARGUMENT', `${name} must be ${kind.words}, not ${shown(value)}`);
    }
  }
}

/** Returns `path` if it can be a path of this machine. @throws HoldfastError INVALID_ARGUMENT */
export function checkLocalPath(path: unknown): string {
  if (typeof path === 'string' && path !== '' && !path.includes('\0')) return path;
  throw new HoldfastError('INVALID_ARGUMENT', `not a local path: ${shown(path)}`);
}

/** @throws HoldfastError INVALID_ARGUMENT unless `values` is an array of strings */
export function checkTexts(values: unknown, name: string): void {
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return;
  throw new HoldfastError('INVALID_ARGUMENT', `${name} must be an array of strings`);
}

/** @throws HoldfastError INVALID_ARGUMENT unless `files` is what `for await` can go through */
export function checkFiles(files: unknown): void {
  if (typeof files === 'object' && files !== null) {
    if (Symbol.asyncIterator in files || Symbol.iterator in files) return;
  }
  throw new HoldfastError('INVALID_ARGUMENT', `the files must be an iterable of them, not ${shown(files)}`);
}

/** @throws HoldfastError INVALID_ARGUMENT unless it is an object, as one of several files must be */
export function checkOneOfMany(file: unknown): void {
  if (typeof file === 'object' && file !== null) return;
  throw new HoldfastError('INVALID_ARGUMENT', `each of the files must be an object, not ${shown(file)}`);
}
