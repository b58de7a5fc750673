/**
 * A program's configuration: flags first, then HOLDFAST_* variables, then the file of `--config`, then
 * defaults; read once at the start and all of it checked in one go.
 *
 * It answers two failures. A server that finds its second mistake only after the first was mended costs an
 * operator a restart for each. And a misspelt option that is ignored in silence (`--min-wirte 3`) is found
 * only when data is lost; so unknown flags and unknown keys of the file are mistakes. Unknown variables are
 * not: other Holdfast programs on the machine have their own.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { HoldfastError } from '../errors/index.js';
import { didYouMean } from './did-you-mean.js';
import { parseFlags } from './flags.js';
import { type ConfigOf, flagOf, type OptionSpec, type OptionSpecs, variableOf } from './options.js';

export interface ConfigSpec<O extends OptionSpecs> {
  /** The program's name, as typed. */
  readonly program: string;
  readonly version: string;
  /** What the program does, in a sentence for `--help`. */
  readonly describe: string;
  readonly options: O;
  /** Pairs of a command line and what it does, for `--help`. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Relations between options: returns a sentence for each that does not hold. */
  readonly check?: (config: ConfigOf<O>) => readonly string[];
}

/** Where the words come from; the process's own unless a test says otherwise. */
export interface ConfigSources {
  readonly argv?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Thrown for `--help` and `--version`: not a failure. runProgram prints the text and ends with status 0. */
export class ProgramOutput extends Error {
  readonly text: string;
  constructor(text: string) {
    super('The program has printed what was asked for');
    this.name = 'ProgramOutput';
    this.text = text;
  }
}

/** What one source says about one option, and how to name that place to the user. */
interface Given {
  readonly value: unknown;
  readonly place: string;
}

/**
 * Reads and checks the configuration.
 *
 * @throws HoldfastError INVALID_ARGUMENT that lists every mistake (exit status 2)
 * @throws ProgramOutput for `--help` and `--version`
 */
export function loadConfig<const O extends OptionSpecs>(
  spec: ConfigSpec<O>,
  { argv = process.argv.slice(2), env = process.env }: ConfigSources = {},
): ConfigOf<O> {
  const flags = parseFlags(spec, argv);
  if (flags.output !== undefined) throw new ProgramOutput(flags.output);
  const mistakes = [...flags.mistakes];
  const path = flags.values['config'] ?? nonEmpty(env['HOLDFAST_CONFIG']);
  const file = typeof path === 'string' ? readConfigFile(path, Object.keys(spec.options), mistakes) : {};

  const config: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(spec.options)) {
    const given = firstGiven(key, flags.values[key], env[variableOf(key)], file[key], path);
    if (given !== undefined) config[key] = check(option, given, mistakes);
    // A default is our own text: a wrong one must fail every start, not only its users'.
    else if (option.default !== undefined) {
      config[key] = check(option, { value: option.default, place: `default of ${flagOf(key)}` }, mistakes);
    } else if (option.required === true) {
      // A flag that was given wrongly is not missing as well.
      if (!flags.failed.has(key)) mistakes.push(missing(key, option));
    } else config[key] = undefined;
  }
  // Relations only make sense between values that are right by themselves.
  if (mistakes.length === 0) mistakes.push(...(spec.check?.(config as ConfigOf<O>) ?? []));
  if (mistakes.length > 0) throw wrongUsage(spec.program, mistakes);
  return config as ConfigOf<O>;
}

function wrongUsage(program: string, mistakes: readonly string[]): HoldfastError {
  const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`;
  return new HoldfastError(
    'INVALID_ARGUMENT',
    `${count} in the configuration:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`,
    { remedy: `See ${program} --help.` },
  );
}

/** An empty variable counts as unset: scripts clear variables that way. */
function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function firstGiven(
  key: string,
  flag: unknown,
  variable: string | undefined,
  inFile: unknown,
  path: unknown,
): Given | undefined {
  if (flag !== undefined) return { value: flag, place: flagOf(key) };
  if (nonEmpty(variable) !== undefined) return { value: variable, place: variableOf(key) };
  if (inFile !== undefined) return { value: inFile, place: `${String(path)}: "${key}"` };
  return undefined;
}

function missing(key: string, option: OptionSpec<unknown>): string {
  const value = option.placeholder ?? 'VALUE';
  return `${flagOf(key)} ${value} is missing (or set ${variableOf(key)}, or "${key}" in the --config file)`;
}

/** The checked value; adds to the mistakes if it is wrong. */
function check(option: OptionSpec<unknown>, { value, place }: Given, mistakes: string[]): unknown {
  const result = option.schema.safeParse(asText(option.kind, value));
  if (result.success) return result.data;
  for (const { message } of result.error.issues) {
    if (option.secret === true) {
      mistakes.push(`${place}: its value is not valid (and not shown, because it is a secret)`);
      continue;
    }
    // Parsers quote the value themselves; bounds and the like do not.
    const shown = JSON.stringify(value);
    const said = typeof value === 'string' && message.includes(`"${value}"`);
    mistakes.push(said || message.startsWith('"') ? `${place}: ${message}` : `${place}: ${shown} ${message}`);
  }
  return undefined;
}

/** A JSON file may say 3 or true where a flag can only say "3" or "true". */
function asText(kind: OptionSpec<unknown>['kind'], value: unknown): unknown {
  const one = (part: unknown) =>
    typeof part === 'number' || typeof part === 'boolean' ? String(part) : part;
  if (kind !== 'list' && kind !== 'paths') return one(value);
  const parts = Array.isArray(value) ? value : [value];
  if (kind === 'paths') return parts.map(one);
  return parts.flatMap((part) => (typeof part === 'string' ? part.split(',') : [one(part)]));
}

/** No configuration is longer; a device may have no end. */
const maxFileBytes = 1024 * 1024;

/** The text of a file, or of a pipe as a shell makes it. */
function readShort(path: string): string {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(maxFileBytes + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null);
    }
    if (length > maxFileBytes) throw new Error(`${path} has more than ${maxFileBytes} bytes`);
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(file);
  }
}

/** The file's object; {} and a mistake if it cannot be read, is not an object, or has unknown keys. */
function readConfigFile(path: string, keys: readonly string[], mistakes: string[]): Record<string, unknown> {
  let content: unknown;
  try {
    content = JSON.parse(readShort(path).replace(/^\uFEFF/, ''));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    mistakes.push(
      error instanceof SyntaxError
        ? `${path}: is not JSON (${reason})`
        : `--config: cannot read the file (${reason})`,
    );
    return {};
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    mistakes.push(`${path}: expected an object, such as { "${keys[0] ?? 'key'}": … }`);
    return {};
  }
  for (const key of Object.keys(content)) {
    if (keys.includes(key)) continue;
    const near = didYouMean(key, keys);
    mistakes.push(`${path}: no key "${key}"${near === undefined ? '' : `; did you mean "${near}"?`}`);
  }
  return content as Record<string, unknown>;
}
