/** What the command line is given by its process; tests give it streams of their own. */
import type { Readable, Writable } from 'node:stream';
import type { HoldfastError } from '@holdfast/shared';

/** A stream that may be a terminal. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface CliIo {
  /** As what it was called: `client` or `holdfast`. */
  readonly program: string;
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The bytes of the last `count` words of the command line; none where the system does not tell. */
  readonly typedArguments: (count: number) => Promise<readonly Buffer[]>;
  /** Calls `handler` when the user wants it to end; the result stops that. */
  readonly onInterrupt: (handler: () => void) => () => void;
  /** Calls `handler` when standard output takes no more; the result stops that. */
  readonly onOutputLost: (handler: (lost: HoldfastError) => void) => () => void;
  /**
   * Told when the user or --timeout gave up: once the verb has ended, neither a reader that does not read nor a
   * pipe that nobody opens may keep the process waiting.
   */
  readonly onGivenUp: () => void;
}
