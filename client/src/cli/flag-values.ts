/** The values of flags, by the rules that all Holdfast programs share. */
import { HoldfastError, splitPath } from '@holdfast/shared';
import type { Flags } from './command.js';

/** A flag's value through `parse`, with the flag named when it is wrong; undefined if it was not given. */
export function flagValue<T>(flags: Flags, name: string, parse: (text: string) => T): T | undefined {
  const text = flags.text(name);
  if (text === undefined) return undefined;
  try {
    return parse(text);
  } catch (error) {
    if (!HoldfastError.is(error)) throw error;
    throw new HoldfastError('INVALID_ARGUMENT', `--${name}: ${error.message}`, { cause: error });
  }
}

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text.trim()) && value >= min && value <= max) return value;
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `expected a whole number from ${min} to ${max}, not "${text}"`,
    );
  };
}

/** A remote path as typed: its canonical form, and whether a "/" at its end asks for a directory. */
export interface RemotePath {
  readonly path: string;
  readonly asDirectory: boolean;
}

/** @throws HoldfastError INVALID_ARGUMENT */
export function remotePath(text: string): RemotePath {
  const trimmed = text.replace(/\/+$/, '');
  const path = trimmed === '' && text !== '' ? '/' : trimmed;
  splitPath(path);
  return { path, asDirectory: text.endsWith('/') };
}
