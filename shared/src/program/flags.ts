/**
 * The command line of a program without sub-commands, and its `--help`. Parsing and the layout of the help
 * are yargs's; what counts as a mistake is said here, so that all of them are found in one pass.
 */
import yargs from 'yargs';
import { didYouMean } from './did-you-mean.js';
import { flagOf, type OptionSpec, type OptionSpecs, variableOf } from './options.js';

/** What the help needs to know about the program. */
interface FlagsSpec {
  readonly program: string;
  readonly version: string;
  readonly describe: string;
  readonly options: OptionSpecs;
  readonly examples: readonly (readonly [command: string, what: string])[];
}

export interface ParsedFlags {
  /** By option key, and `config`; only what was given. Texts, or arrays of them for lists. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly mistakes: readonly string[];
  /** Keys of options that were named, but wrongly. */
  readonly failed: ReadonlySet<string>;
  /** The text of `--help` or `--version`, if one was asked for. */
  readonly output?: string;
}

// Wider lines than this are hard to read, whatever the terminal.
const helpColumns = 100;

const builtIn = ['--config', '--help', '--version'];

/** Reads the flags. Never throws and never prints. */
export function parseFlags(spec: FlagsSpec, argv: readonly string[]): ParsedFlags {
  const parser = buildParser(spec);
  const { rest, switches } = takeSwitches(spec, argv);
  let output = '';
  const parsed = parser.parseSync(rest, {}, (_error: unknown, _argv: unknown, text: string) => {
    output = text;
  }) as Record<string, unknown>;
  if (output !== '') return { values: {}, mistakes: [], failed: new Set(), output: `${output}\n` };

  const keyOfFlag = new Map(Object.keys(spec.options).map((key) => [flagOf(key).slice(2), key]));
  keyOfFlag.set('config', 'config');
  const values: Record<string, unknown> = {};
  const mistakes: string[] = [];
  const failed = new Set<string>();
  const known = [...Object.keys(spec.options).map(flagOf), ...builtIn];
  for (const [name, value] of Object.entries({ ...parsed, ...together(parsed, switches) })) {
    if (name === '_' || name === '$0' || value === undefined) continue;
    const key = keyOfFlag.get(name);
    if (key === undefined) {
      mistakes.push(unknownFlag(name, known));
      continue;
    }
    const problem = problemWith(spec.options[key], value);
    if (problem === undefined) values[key] = value;
    else {
      mistakes.push(`--${name}: ${problem}`);
      failed.add(key);
    }
  }
  for (const word of parsed['_'] as unknown[]) {
    mistakes.push(`"${String(word)}": ${spec.program} takes options only`);
  }
  return { values, mistakes, failed };
}

/** Takes `--json=yes` out: yargs takes every value but "true" for a no, without a word. */
function takeSwitches(
  { options }: FlagsSpec,
  argv: readonly string[],
): { readonly rest: string[]; readonly switches: readonly (readonly [name: string, value: string])[] } {
  const names = new Set(
    Object.entries(options).flatMap(([key, { kind }]) => (kind === 'flag' ? flagOf(key).slice(2) : [])),
  );
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length;
  const switches: (readonly [string, string])[] = [];
  const rest = argv.filter((word, index) => {
    const [, name = '', value = ''] = (index < end && /^--([^=]+)=(.*)$/s.exec(word)) || [];
    if (names.has(name)) switches.push([name, value]);
    return !names.has(name);
  });
  return { rest, switches };
}

/** The switches with those that were given without a value, so that one that was given twice is seen. */
function together(
  parsed: Readonly<Record<string, unknown>>,
  switches: readonly (readonly [name: string, value: string])[],
): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const [name, value] of switches) {
    const before = all[name] ?? parsed[name];
    all[name] = before === undefined ? value : [before, value];
  }
  return all;
}

function unknownFlag(name: string, known: readonly string[]): string {
  const flag = name.length === 1 ? `-${name}` : `--${name}`;
  const near = didYouMean(flag, known);
  return `${flag}: no such option${near === undefined ? '' : `; did you mean ${near}?`}`;
}

/** What is wrong with how an option was given, whatever its value means. */
function problemWith(option: OptionSpec<unknown> | undefined, value: unknown): string | undefined {
  if (option?.kind === 'list' || option?.kind === 'paths') {
    return (value as unknown[]).length === 0 || (value as unknown[]).includes('')
      ? 'has no value'
      : undefined;
  }
  if (Array.isArray(value)) return 'was given more than once';
  if (value === '') return `has no value; expected ${option?.placeholder ?? 'a value'}`;
  return undefined;
}

function buildParser(spec: FlagsSpec) {
  const parser = yargs([])
    .scriptName(spec.program)
    .usage(`${spec.program} [options]\n\n${spec.describe}`)
    .parserConfiguration({
      'boolean-negation': true, // --no-json
      'camel-case-expansion': false, // each option once, under its own name
      'dot-notation': false,
      'duplicate-arguments-array': true, // so that "given twice" can be seen
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .exitProcess(false)
    .fail(false)
    .help('help')
    .alias('help', 'h')
    .describe('help', 'Show this')
    .version(spec.version)
    .describe('version', 'Show the version')
    .option('config', { type: 'string', describe: 'A JSON file with options', requiresArg: false })
    .wrap(Math.min(helpColumns, process.stdout.columns || helpColumns))
    .epilogue(epilogue(spec));
  for (const [key, option] of Object.entries(spec.options)) {
    const placeholder = option.kind === 'flag' ? '' : ` [${option.placeholder ?? 'VALUE'}]`;
    parser.option(flagOf(key).slice(2), {
      type: option.kind === 'flag' ? 'boolean' : 'string',
      array: option.kind === 'list' || option.kind === 'paths',
      describe: `${option.describe}${placeholder}${option.required === true ? ' (required)' : ''}`,
      ...(option.default !== undefined && { defaultDescription: option.default }),
    });
  }
  for (const [command, what] of spec.examples) parser.example(command, what);
  return parser;
}

function epilogue(spec: FlagsSpec): string {
  const key = Object.keys(spec.options).find((name) => /[A-Z]/.test(name)) ?? Object.keys(spec.options)[0];
  if (key === undefined) return '';
  return (
    `Every option can also be set by a variable (${variableOf(key)} for ${flagOf(key)}) or in the --config ` +
    `file ("${key}"). Flags win over variables, variables over the file. Wrong usage ends with status 2.`
  );
}
