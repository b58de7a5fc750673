/** Globs over the names of entries, as shells have them. A leading dot is a character like any other. */
import { HoldfastError } from '@holdfast/shared';
import picomatch from 'picomatch';

/**
 * Whether a name matches the glob as a whole.
 *
 * @throws HoldfastError INVALID_ARGUMENT for a glob that can match no name
 */
export function namePattern(
  glob: string,
  { anyCase = false }: { readonly anyCase?: boolean } = {},
): (name: string) => boolean {
  if (glob.includes('/')) {
    throw new HoldfastError('INVALID_ARGUMENT', `"${glob}" has a "/", and a name has none`, {
      remedy: 'Name the directory to look in as REMOTE.',
    });
  }
  const matches = picomatch(glob, { dot: true, nocase: anyCase, strictSlashes: true, windows: false });
  return (name) => matches(name);
}
