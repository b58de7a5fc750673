/** Arguments as they were typed. Node hands over text: bytes that are not UTF-8 reach us as another name. */
import { isUtf8 } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { HoldfastError } from '@holdfast/shared';
import type { CliIo } from './io.js';

/** What Node has in the place of bytes that are no text. */
const replacement = '\uFFFD';
/** Enough to know it again; an argument may be of 128 KiB. */
const shownCharacters = 100;

/** @throws HoldfastError INVALID_ARGUMENT that names the first argument whose bytes are not UTF-8 */
export async function checkTypedBytes(argv: readonly string[], { typedArguments }: CliIo): Promise<void> {
  if (!argv.some((argument) => argument.includes(replacement))) return;
  const typed = await typedArguments(argv.length);
  // A process that was given a title has that in their place.
  const areThese = typed.every((bytes, index) => bytes.toString() === argv[index]);
  const index = typed.findIndex((bytes) => !isUtf8(bytes));
  if (!areThese || index === -1) return;
  const argument = argv[index] ?? '';
  const shown = argument.length > shownCharacters ? `${argument.slice(0, shownCharacters)}…` : argument;
  throw new HoldfastError('INVALID_ARGUMENT', `${JSON.stringify(shown)} is not valid UTF-8`, {
    remedy: 'Names are UTF-8 here: type them in a UTF-8 locale, and rename local files with other ones.',
  });
}

/** The last `count` arguments of this process; none where the system does not tell (it does on Linux). */
export async function typedArguments(count: number): Promise<readonly Buffer[]> {
  const all: Buffer[] = [];
  let rest: Buffer = await readFile('/proc/self/cmdline').catch(() => Buffer.alloc(0));
  for (let end = rest.indexOf(0); end !== -1; end = rest.indexOf(0)) {
    all.push(rest.subarray(0, end));
    rest = rest.subarray(end + 1);
  }
  return all.slice(-count);
}
