/** What a verb is made of, and what it is given when it runs. */
import type { Options } from 'yargs';
import type { HoldfastClient } from '../client.js';
import type { CliIo } from './io.js';
import type { Reporter } from './reporter.js';

/** Flags by their long names, as yargs read them. */
export interface Flags {
  /** The text of a flag, or undefined. */
  text(name: string): string | undefined;
  /** The texts of a flag that may be repeated (`array: true, nargs: 1`), in their order. */
  texts(name: string): readonly string[];
  isSet(name: string): boolean;
}

export interface CommandContext {
  readonly io: CliIo;
  /** What stands behind the verb, unchanged. */
  readonly paths: readonly string[];
  readonly flags: Flags;
  readonly report: Reporter;
  /** Aborted by Ctrl-C and by --timeout. */
  readonly signal: AbortSignal;
  /** Connects on the first call; closed by whoever runs the verb. */
  readonly connect: () => Promise<HoldfastClient>;
}

/** A flag as yargs has it. */
export interface FlagSpec extends Options {
  /** All that its value can be, where that is little: for completion. */
  readonly words?: readonly string[];
}

export interface CommandSpec {
  /** One word, or two where several verbs belong together: "trash ls". */
  readonly name: string;
  /** What follows the name in the usage line. */
  readonly synopsis: string;
  /** A sentence for the list of verbs. */
  readonly describe: string;
  /** More about it, for its own --help. */
  readonly details?: string;
  readonly options: Readonly<Record<string, FlagSpec>>;
  /** The words that can stand behind the name, where they are few. */
  readonly choices?: readonly string[];
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly minPaths: number;
  readonly maxPaths: number;
  /** Resolves to the exit status; rejects with the error that ends the program. */
  readonly run: (context: CommandContext) => Promise<number>;
}

/** Flags that every verb has. */
export const globalOptions: Readonly<Record<string, Options>> = {
  tracker: {
    type: 'string',
    requiresArg: true,
    describe: 'HOST:PORT of the tracker, or several with commas (or HOLDFAST_TRACKER)',
    defaultDescription: '127.0.0.1:7400',
  },
  json: { type: 'boolean', describe: 'Print JSON for programs on standard output' },
  quiet: { type: 'boolean', alias: 'q', describe: 'Print no progress and no result lines' },
  timeout: {
    type: 'string',
    requiresArg: true,
    describe: 'Give up after this long, such as 30s or 5m',
    defaultDescription: 'none',
  },
};

export const dryRunOption: Readonly<Record<string, Options>> = {
  'dry-run': { type: 'boolean', alias: 'n', describe: 'Only show what would be done' },
};

/** Flags of transfers. */
export const transferOptions: Readonly<Record<string, Options>> = {
  recursive: { type: 'boolean', alias: 'r', describe: 'Take directories with all that is in them' },
  force: { type: 'boolean', alias: 'f', describe: 'Replace files that exist' },
  concurrency: {
    type: 'string',
    requiresArg: true,
    describe: 'Chunks of a file that are sent or fetched at once, 1 to 64',
    defaultDescription: '3 up, 4 down',
  },
};
