/**
 * Remote names as local ones. A name from a server must never lead out of the directory it was meant for, or
 * mean something else to this system; one that would is refused, never changed in silence. Pure.
 */
import { join } from 'node:path';
import { HoldfastError, baseName } from '@holdfast/shared';

/** Windows takes these as separators, streams or wildcards, and these names as devices in any directory. */
const windowsForbidden = /[\\:*?"<>|\p{Cc}]|[. ]$/u;
const windowsDevices = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/**
 * The local path of the remote entry `remote` in the local directory `directory`.
 *
 * @throws HoldfastError INVALID_ARGUMENT if this system cannot hold the name
 */
export function localPathIn(
  directory: string,
  remote: string,
  platform: NodeJS.Platform = process.platform,
): string {
  const name = baseName(remote);
  const escapes = name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0');
  const unfit = platform === 'win32' && (windowsForbidden.test(name) || windowsDevices.test(name));
  if (!escapes && !unfit) return join(directory, name);
  throw new HoldfastError(
    'INVALID_ARGUMENT',
    `this system cannot hold a file named ${JSON.stringify(name)}`,
    {
      remedy: 'Download it alone under another name, or move it to another name first.',
    },
  );
}
