/**
 * The declarative option list of a program: for each option its kind, its description and its default. The
 * key `dataDir` is the flag `--data-dir`, the variable `HOLDFAST_DATA_DIR` and the config file's `dataDir`.
 *
 * A default is written as a user would type it ("16MiB") and read by the same rules, so what `--help` shows
 * is what happens.
 */
import { z } from 'zod';
import { HoldfastError } from '../errors/index.js';
import { type Address, parseAddress, parseDuration, parseSize } from '../values/index.js';

/** What every kind of option is declared with. */
export interface OptionSettings {
  /** One line for `--help`. */
  readonly describe: string;
  /** As typed on the command line. */
  readonly default?: string;
  /** Whether leaving it out is a mistake. An option with neither a default nor this may be undefined. */
  readonly required?: boolean;
  /** What stands for the value in `--help`, for example "DIR". */
  readonly placeholder?: string;
  /** Keeps the value out of the list of mistakes. */
  readonly secret?: boolean;
}

export interface OptionSpec<T> extends OptionSettings {
  /** Reads the text of a flag or variable (for a list: the texts of its parts). */
  readonly schema: z.ZodType<T>;
  /**
   * A flag stands alone (`--json`, `--no-json`); a list may be repeated or hold commas; paths may be repeated, and
   * their commas are their own.
   */
  readonly kind: 'value' | 'flag' | 'list' | 'paths';
}

/** T, or T or undefined, as the settings promise. */
type Outcome<T, S> = S extends { readonly default: string } | { readonly required: true } ? T : T | undefined;

type Declare<T> = <const S extends OptionSettings>(settings: S) => OptionSpec<Outcome<T, S>>;

/** A zod schema around a parser that throws HoldfastError. */
function parsedBy<T>(parse: (text: string) => T): z.ZodType<T> {
  return z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

function declare<T>(schema: z.ZodType<T>, kind: OptionSpec<T>['kind'], placeholder: string): Declare<T> {
  return <const S extends OptionSettings>(settings: S) => ({
    placeholder,
    ...settings,
    // The schema never sees an option that was left out, so undefined is only in the type.
    schema: schema,
    kind,
  });
}

/** A schema's bounds, with the values in the words of the user. */
function within(schema: z.ZodType<number>, bounds: Bounds<string>, parse: (text: string) => number) {
  return schema.superRefine((value, context) => {
    const { min, max } = bounds;
    if (min !== undefined && value < parse(min)) context.addIssue(`is too small; expected at least ${min}`);
    if (max !== undefined && value > parse(max)) context.addIssue(`is too large; expected at most ${max}`);
  });
}

interface Bounds<T> {
  /** Smallest allowed value. */
  readonly min?: T;
  /** Largest allowed value. */
  readonly max?: T;
}

function parseInteger(text: string): number {
  if (/^[+-]?\d+$/.test(text.trim()) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new HoldfastError('INVALID_ARGUMENT', `"${text}" is not a whole number; expected one such as 3`);
}

const switches: Readonly<Record<string, boolean>> = {
  ...{ true: true, yes: true, on: true, 1: true },
  ...{ false: false, no: false, off: false, 0: false },
};

function parseSwitch(text: string): boolean {
  const value = switches[text.trim().toLowerCase()];
  if (value !== undefined) return value;
  throw new HoldfastError('INVALID_ARGUMENT', `"${text}" is neither yes nor no; expected true or false`);
}

/** The kinds of options. Numbers come out in bytes and milliseconds. */
export const option = {
  text: declare(z.string().min(1, 'is empty'), 'value', 'TEXT'),
  path: declare(z.string().min(1, 'is empty'), 'value', 'PATH'),
  paths: declare<string[]>(z.array(z.string().min(1, 'is empty')).min(1), 'paths', 'PATH'),
  integer: (bounds: Bounds<number> = {}) =>
    declare(within(parsedBy(parseInteger), mapBounds(bounds), Number), 'value', 'N'),
  /** In bytes; bounds as typed ("4KiB"). */
  size: (bounds: Bounds<string> = {}) =>
    declare(within(parsedBy(parseSize), bounds, parseSize), 'value', 'SIZE'),
  /** In milliseconds; bounds as typed ("100ms"). */
  duration: (bounds: Bounds<string> = {}) =>
    declare(within(parsedBy(parseDuration), bounds, parseDuration), 'value', 'DURATION'),
  /** Where a peer is. */
  address: declare<Address>(parsedBy(parseAddress), 'value', 'HOST:PORT'),
  /** Where to listen: port 0 takes any free one. */
  listenAddress: declare<Address>(
    parsedBy((text) => parseAddress(text, { allowPortZero: true })),
    'value',
    'HOST:PORT',
  ),
  addresses: declare<Address[]>(z.array(parsedBy(parseAddress)).min(1), 'list', 'HOST:PORT,…'),
  texts: declare<string[]>(z.array(z.string().min(1, 'is empty')), 'list', 'TEXT,…'),
  flag: declare(parsedBy(parseSwitch), 'flag', ''),
  choice: <const T extends string>(...choices: readonly T[]) =>
    declare<T>(
      z.enum(choices, { error: (issue) => `"${String(issue.input)}" is none of ${choices.join(', ')}` }),
      'value',
      choices.join('|'),
    ),
  /** Any other schema over the text. */
  of: <T>(schema: z.ZodType<T>, placeholder: string) => declare(schema, 'value', placeholder),
};

function mapBounds({ min, max }: Bounds<number>): Bounds<string> {
  return {
    ...(min !== undefined && { min: String(min) }),
    ...(max !== undefined && { max: String(max) }),
  };
}

export type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>;

/** The typed object that a list of options becomes. */
export type ConfigOf<O extends OptionSpecs> = {
  readonly [K in keyof O]: O[K] extends OptionSpec<infer T> ? T : never;
};

/** `dataDir` → `--data-dir`. */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `dataDir` → `HOLDFAST_DATA_DIR`. */
export function variableOf(key: string): string {
  return `HOLDFAST_${flagOf(key).slice(2).replaceAll('-', '_').toUpperCase()}`;
}

/** What every program takes beside its own options; give them to createLogger. */
export const loggingOptions = {
  logLevel: option.choice(
    'debug',
    'info',
    'warn',
    'error',
  )({
    describe: 'The least important lines to log',
    default: 'info',
  }),
  logFormat: option.choice(
    'auto',
    'human',
    'json',
  )({
    describe: 'How to log; auto is human on a terminal and json elsewhere',
    default: 'auto',
  }),
};
