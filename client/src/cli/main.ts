/** The process around the command line: its streams, its signals, its exit status. Runs when it is loaded. */
import { basename } from 'node:path';
import { exitStatus } from '@holdfast/shared';
import type { CliIo } from './io.js';
import { runCli } from './run.js';

/** The first Ctrl-C asks for an orderly end, the second one takes it. */
function onInterrupt(handler: () => void): () => void {
  let asked = false;
  const listener = (): void => {
    if (asked) process.exit(exitStatus.interrupted);
    asked = true;
    handler();
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return () => {
    process.off('SIGINT', listener);
    process.off('SIGTERM', listener);
  };
}

/** Enough for the last words to be taken by whoever reads them. */
const lastWordsMs = 500;
let stdinUsed = false;
let givenUp = false;
const io: CliIo = {
  program: basename(process.argv[1] ?? '').startsWith('holdfast') ? 'holdfast' : 'client',
  // Opened only when it is wanted: an open standard input can keep a process waiting.
  get stdin() {
    stdinUsed = true;
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  onInterrupt,
  onGivenUp: () => {
    givenUp = true;
  },
};

// A reader that leaves (`| head`) has all that it wanted: no error, no stack. What was said before stands.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (process.exitCode !== undefined) process.exit();
  process.exit(error.code === 'EPIPE' ? exitStatus.done : exitStatus.failed);
});
process.stderr.on('error', () => undefined);

void runCli(process.argv.slice(2), io).then((status) => {
  process.exitCode = status;
  // An upload from a pipe that failed leaves the pipe open; nobody waits for it any more.
  if (stdinUsed) process.stdin.destroy();
  if (givenUp) setTimeout(() => process.exit(), lastWordsMs).unref();
});
