/** Arguments whose bytes are not UTF-8. */
import { expect, it } from '@jest/globals';
import type { CliIo } from '../src/cli/io.js';
import { checkTypedBytes } from '../src/cli/typed-bytes.js';

const latin1 = Buffer.from('/caf\xe9', 'latin1');

function check(argv: readonly string[], typed: readonly Buffer[]): Promise<void> {
  return checkTypedBytes(argv, { typedArguments: () => Promise.resolve(typed) } as unknown as CliIo);
}

it('are refused by name, however long they are', async () => {
  await expect(check(['ls', String(latin1)], [Buffer.from('ls'), latin1])).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: '"/caf\uFFFD" is not valid UTF-8',
  });
  const long = Buffer.concat([Buffer.alloc(100_000, 'y'), latin1]);
  await expect(check([String(long)], [long])).rejects.toMatchObject({
    message: `"${'y'.repeat(100)}…" is not valid UTF-8`,
  });
});

it('are let pass where nobody can tell, and where the character itself was typed', async () => {
  const argv = ['ls', String(latin1)];
  await check(argv, []);
  await check(
    argv,
    argv.map((argument) => Buffer.from(argument)),
  );
  // What a process with a title has there.
  await check(argv, [Buffer.from('title'), latin1]);
});
