/**
 * The command line as typed, to a verb, its flags and what stands behind it. Parsing and the layout of the help
 * are yargs's; what counts as a mistake is said here, so that every mistake ends with status 2 and a sentence
 * that helps. Paths are taken from what yargs leaves over: its own positionals take a name such as "-x" behind
 * "--" for a flag.
 */
import { HoldfastError } from '@holdfast/shared';
import yargs, { type Argv, type Options } from 'yargs';
import { type CommandSpec, type Flags, globalOptions } from './command.js';

export type Parsed =
  /** --help or --version: print this and end well. */
  | { readonly kind: 'output'; readonly text: string }
  | {
      readonly kind: 'command';
      readonly command: CommandSpec;
      readonly paths: readonly string[];
      readonly flags: Flags;
    };

export interface ParseOptions {
  readonly program: string;
  readonly version: string;
  readonly commands: readonly CommandSpec[];
  /** The first words of verbs of two, with what they have in common. */
  readonly groups: Readonly<Record<string, string>>;
  /** How wide help may be. */
  readonly columns: number;
}

/** @throws HoldfastError INVALID_ARGUMENT that says what is wrong */
export async function parseCommandLine(argv: readonly string[], options: ParseOptions): Promise<Parsed> {
  const { program, commands } = options;
  const { raw, output } = wordsOf(argv, options);
  if (output !== '') return { kind: 'output', text: `${output}\n` };
  const words = (raw['_'] as unknown[]).map(String);
  const isGroup = words[0] !== undefined && Object.hasOwn(options.groups, words[0]);
  const overview = isGroup ? `${program} ${words[0]} --help` : `${program} --help`;
  const verbWords = isGroup ? 2 : 1;
  if (words.length < verbWords) throw wrong('what to do is missing', `See ${overview} for the verbs.`);
  const verb = words.slice(0, verbWords).join(' ');
  const paths = words.slice(verbWords);
  const command = commands.find(({ name }) => name === verb);
  const verbs = commands.map(({ name }) => name);
  if (!command) throw await unknown(`there is no verb "${verb}"`, verb, verbs, overview);
  const help = `${program} ${command.name} --help`;
  const known = { ...globalOptions, ...command.options };
  checkSwitches(argv, known, help);
  await checkFlags(raw, known, help);
  checkPaths(command, paths, program);
  return { kind: 'command', command, paths, flags: flagsOf(raw) };
}

/** The flags and words of a verb that there is. */
class VerbFound extends Error {
  readonly raw: Record<string, unknown>;

  constructor(raw: Record<string, unknown>) {
    super('a verb was found');
    this.raw = raw;
  }
}

/** What yargs makes of the command line, and what it printed. */
function wordsOf(argv: readonly string[], options: ParseOptions) {
  let output = '';
  const onOutput = (_error: unknown, _argv: unknown, text: string): void => {
    output = text;
  };
  try {
    const raw = build(options).parseSync([...argv], {}, onOutput) as Record<string, unknown>;
    return { raw, output };
  } catch (error) {
    if (error instanceof VerbFound) return { raw: error.raw, output };
    throw error;
  }
}

function build({ program, version, commands, groups, columns }: ParseOptions) {
  const parser = yargs([])
    .scriptName(program)
    .usage(`${program} VERB [flags] …\n\nStores files in a Holdfast cluster and fetches them.`)
    .parserConfiguration({
      'boolean-negation': true,
      'camel-case-expansion': false,
      'dot-notation': false,
      'duplicate-arguments-array': true,
      'parse-numbers': false,
      'parse-positional-numbers': false,
    })
    .exitProcess(false)
    .fail(false)
    .help('help')
    .alias('help', 'h')
    .describe('help', 'Show this')
    .version(version)
    .describe('version', 'Show the version')
    .wrap(columns)
    .epilogue(
      'Exit status: 0 done; 1 failed; 2 wrong usage; 3 not found; 4 already exists or conflicts; 5 not ' +
        'available, or not in time; 6 not permitted; 7 data loss; 8 out of space or over a limit; 130 interrupted.',
    );
  for (const [name, option] of Object.entries(globalOptions)) parser.option(name, option);
  for (const command of commands) {
    if (!command.name.includes(' ')) addCommand(parser, command, program);
    const [first] = command.examples;
    if (first) parser.example(exampleLine(program, first[0]), first[1]);
  }
  for (const [group, describe] of Object.entries(groups)) {
    parser.command(group, describe, (verb) => {
      verb.usage(`${program} ${group} VERB [flags] …\n\n${describe}.`);
      for (const command of commands) {
        if (command.name.startsWith(`${group} `)) addCommand(verb, command, program);
      }
      return verb;
    });
  }
  return parser;
}

function addCommand(parser: Argv, command: CommandSpec, program: string): void {
  const word = command.name.slice(command.name.indexOf(' ') + 1);
  const describeVerb = (verb: Argv): Argv => {
    const more = command.details === undefined ? '' : ` ${command.details}`;
    const usage = `${program} ${command.name} [flags] ${command.synopsis}`.trimEnd();
    verb.usage(`${usage}\n\n${command.describe}.${more}`);
    // A verb may have a flag of this name.
    if ('version' in command.options) verb.version(false);
    for (const [name, option] of Object.entries(command.options)) verb.option(name, option);
    for (const [example, what] of command.examples) verb.example(exampleLine(program, example), what);
    return verb;
  };
  parser.command(word, command.describe, describeVerb, (raw) => {
    // Not returned: yargs would render the verb's help now, which takes longer than everything before.
    throw new VerbFound(raw);
  });
}

/** Examples start with the verb, unless they show a pipe into the program. */
function exampleLine(program: string, example: string): string {
  return example.includes('client ') ? example.replaceAll('client ', `${program} `) : `${program} ${example}`;
}

function wrong(message: string, remedy: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', message, { remedy });
}

async function unknown(message: string, word: string, known: readonly string[], help: string) {
  // Loaded only for a mistake: it brings more along than --help should wait for.
  const { didYouMean } = await import('@holdfast/shared/program');
  const near = didYouMean(word, known);
  return wrong(near === undefined ? message : `${message}; did you mean ${near}?`, `See ${help}.`);
}

async function checkFlags(
  raw: Record<string, unknown>,
  options: Readonly<Record<string, Options>>,
  help: string,
): Promise<void> {
  const aliases = Object.values(options).flatMap(({ alias }) => (typeof alias === 'string' ? [alias] : []));
  const known = new Set([...Object.keys(options), ...aliases, 'help', 'h', 'version', '_', '$0']);
  for (const [name, value] of Object.entries(raw)) {
    const flag = name.length === 1 ? `-${name}` : `--${name}`;
    if (!known.has(name)) {
      const candidates = Object.keys(options).map((option) => `--${option}`);
      throw await unknown(`there is no flag ${flag}`, flag, candidates, help);
    }
    if (Array.isArray(value) && name !== '_') {
      const { type, array = false } = options[name] ?? {};
      if (type !== 'boolean' && !array) throw wrong(`${flag} was given more than once`, `See ${help}.`);
      if (value.includes('')) throw wrong(`${flag} has no value`, `See ${help}.`);
    } else if (value === '' && name !== '$0') throw wrong(`${flag} has no value`, `See ${help}.`);
  }
}

/** yargs takes `--dry-run=yes` for a no, as every value but "true", without a word. */
function checkSwitches(
  argv: readonly string[],
  options: Readonly<Record<string, Options>>,
  help: string,
): void {
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length;
  for (const word of argv.slice(0, end)) {
    const [, name = '', value] = /^--(?:no-)?([^=]+)=(.*)$/s.exec(word) ?? [];
    if (options[name]?.type !== 'boolean' || value === 'true' || value === 'false') continue;
    throw wrong(`--${name} takes no value, or true or false`, `See ${help}.`);
  }
}

function checkPaths(
  { name, synopsis, minPaths, maxPaths }: CommandSpec,
  paths: readonly string[],
  program: string,
) {
  const usage = `Usage: ${program} ${name} ${synopsis}`.trimEnd();
  if (paths.length < minPaths) {
    const missing = paths.length === 0 ? 'what to work on is missing' : 'a path is missing';
    throw wrong(`${name}: ${missing}`, `${usage}`);
  }
  if (paths.length > maxPaths) throw wrong(`${name}: "${paths[maxPaths] ?? ''}" is one path too many`, usage);
  if (paths.includes('')) throw wrong(`${name}: a path is empty`, usage);
}

function flagsOf(raw: Record<string, unknown>): Flags {
  return {
    text: (name) => (typeof raw[name] === 'string' ? raw[name] : undefined),
    texts: (name) => (Array.isArray(raw[name]) ? raw[name].map(String) : []),
    // A switch that is repeated counts as it was given last.
    isSet: (name) => (Array.isArray(raw[name]) ? raw[name].at(-1) : raw[name]) === true,
  };
}
