/** The values of flags, by the rules that all Holdfast programs share. */
import { HoldfastError, splitPath } from '@holdfast/shared';
import type { Flags } from './command.js';

/** A flag's value through `parse`, with the flag named when it is wrong; undefined if it was not given. */
export function flagValue<T>(flags: Flags, name: string, parse: (text: string) => T): T | undefined {
  const text = flags.text(name);
  return text === undefined ? undefined : parsed(name, text, parse);
}

/** The values of a flag that may be repeated. */
export function flagValues<T>(flags: Flags, name: string, parse: (text: string) => T): T[] {
  return flags.texts(name).map((text) => parsed(name, text, parse));
}

function parsed<T>(name: string, text: string, parse: (text: string) => T): T {
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

/**
 * A remote path, with or without the ":" before it by which `sync` tells it from a local one.
 *
 * @throws HoldfastError INVALID_ARGUMENT
 */
export function remotePath(text: string): RemotePath {
  const bare = isMarkedRemote(text) ? text.slice(1) : text;
  const trimmed = bare.replace(/\/+$/, '');
  const path = trimmed === '' && bare !== '' ? '/' : trimmed;
  splitPath(path);
  return { path, asDirectory: bare.endsWith('/') };
}

/** Whether it is a remote path where a local one could stand: ":/photos", as scp has it with no host. */
export function isMarkedRemote(text: string): boolean {
  return text.startsWith(':/');
}
