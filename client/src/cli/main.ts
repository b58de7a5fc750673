/** The process around the command line: its streams, its signals, its exit status. Runs when it is loaded. */
import { basename } from 'node:path';
import { type HoldfastError, exitStatus, exitStatusOf } from '@holdfast/shared';
import type { CliIo } from './io.js';
import { isReaderGone, outputLost } from './lost-output.js';
import { Reporter } from './reporter.js';
import { runCli } from './run.js';
import { typedArguments } from './typed-bytes.js';

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
let onLost: ((lost: HoldfastError) => void) | undefined;
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
  typedArguments,
  onInterrupt,
  onOutputLost: (handler) => {
    onLost = handler;
    return () => {
      onLost = undefined;
    };
  },
  onGivenUp: () => {
    givenUp = true;
  },
};

process.stdout.on('error', (error: Error) => {
  const lost = outputLost(error);
  if (onLost) onLost(lost);
  // All is done that was to be done: only what was said of it is lost.
  else if (isReaderGone(lost)) process.exit();
  else {
    new Reporter(io, { json: false, quiet: false }).failure(lost);
    process.exit(exitStatusOf(lost));
  }
});
process.stderr.on('error', () => undefined);

void runCli(process.argv.slice(2), io).then((status) => {
  process.exitCode = status;
  // An upload from a pipe that failed leaves the pipe open; nobody waits for it any more.
  if (stdinUsed) process.stdin.destroy();
  if (givenUp) setTimeout(() => process.exit(), lastWordsMs).unref();
});
