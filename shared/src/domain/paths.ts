/**
 * Remote paths. The server never makes a path of its own file system from a name, so a name needs no cleaning;
 * it needs to be one name, storable and listable exactly as it was given.
 */
import { HoldfastError } from '../errors/index.js';
import { limits } from '../limits.js';

function refuse(path: string, why: string): HoldfastError {
  const shown = path.length > 100 ? `${path.slice(0, 100)}…` : path;
  return new HoldfastError('INVALID_ARGUMENT', `not a remote path: ${JSON.stringify(shown)}: ${why}`, {
    remedy: 'Remote paths are absolute, like /photos/2026/cat.jpg.',
  });
}

/**
 * Splits a remote path into its names; the root is []. Takes exactly the canonical form: "/" or "/a/b",
 * without empty, "." or ".." components.
 *
 * @throws HoldfastError INVALID_ARGUMENT
 */
export function splitPath(path: string): string[] {
  // Programs in plain JavaScript get here too.
  if (typeof path !== 'string') throw refuse(String(typeof path), 'it is not a string');
  if (!path.startsWith('/')) throw refuse(path, 'it does not start with "/"');
  if (!path.isWellFormed()) throw refuse(path, 'it is not well-formed Unicode');
  if (Buffer.byteLength(path) > limits.maxPathBytes) {
    throw refuse(path, `it is longer than ${limits.maxPathBytes} bytes`);
  }
  if (path === '/') return [];
  const names = path.slice(1).split('/');
  for (const name of names) {
    if (name === '') throw refuse(path, 'it has an empty component');
    if (name === '.' || name === '..') throw refuse(path, `it has a "${name}" component`);
    if (name.includes('\0')) throw refuse(path, 'it has a NUL character');
    if (Buffer.byteLength(name) > limits.maxNameBytes) {
      throw refuse(path, `a name is longer than ${limits.maxNameBytes} bytes`);
    }
  }
  return names;
}

/** The path of the entry `name` in the directory `parent`. */
export function joinPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}

/** The directory that holds the entry. The root holds itself. */
export function parentPath(path: string): string {
  const cut = path.lastIndexOf('/');
  return cut <= 0 ? '/' : path.slice(0, cut);
}

/** The last component; "" for the root. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
