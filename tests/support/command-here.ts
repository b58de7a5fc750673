/**
 * The client's command line within the process of the test, over real sockets: for the many commands of which it matters
 * what they do, and not that they are processes (command.ts), each of which takes half a second to start.
 */
import { runCli } from '@holdfast/client/insides';
import { PassThrough, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import type { Finished } from './command.js';

const nothing = () => () => undefined;

/** Runs a command to its end. */
export async function runHere(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Pick<Finished, 'status' | 'stdout' | 'stderr'>> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const said = Promise.all([buffer(out), text(err)]);
  const status = await runCli(args, {
    ...{ program: 'client', stdin: Readable.from([]), stdout: out, stderr: err },
    env: { ...process.env, ...environment },
    typedArguments: () => Promise.resolve([]),
    ...{ onInterrupt: nothing, onOutputLost: nothing, onGivenUp: () => undefined },
  });
  out.end();
  err.end();
  const [stdout, stderr] = await said;
  return { status, stdout, stderr };
}
