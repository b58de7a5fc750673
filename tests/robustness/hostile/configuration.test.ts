/**
 * Configuration and paths that are nonsense: every option of every program, from every place that it can come from.
 * Each is refused with status 2 in words that name it, all at once and before anything is touched; or it is right.
 */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { HoldfastError, splitPath } from '@holdfast/shared';
import {
  ProgramOutput,
  loadConfig,
  loggingOptions,
  option,
  parseAddress,
  parseDuration,
  parseSize,
} from '@holdfast/shared/program';
import fc from 'fast-check';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runHere } from '../../support/command-here.js';
import { run } from '../../support/command.js';
import { fingerprint, temporaryFolder } from '../../support/files.js';
import { seeds } from './support/random.js';

const programs = ['master-tracker', 'data-keeper', 'local-cluster'] as const;
/** What no option means: `--log-level=` and the like take none of these, and no path is so long. */
const nonsense = '\u0007 -1.5e999 nonsense';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

/** The options of a program that take a value which can be wrong, as its help lists them. */
async function optionsOf(program: (typeof programs)[number]): Promise<string[]> {
  const { stdout } = await run(program, ['--help']);
  const all = [...stdout.toString().matchAll(/^\s+(?:-\w, )?--([a-z-]+)/gm)].map(([, name]) => name!);
  // Any text is a path or a zone.
  return all.filter(
    (name) => !['help', 'version', 'config', 'data-dir', 'zone', 'ready-file'].includes(name),
  );
}

describe.each(programs)('%s', (program) => {
  it('names every option that is nonsense, from wherever it comes, and touches nothing', async () => {
    const options = await optionsOf(program);
    expect(options.length).toBeGreaterThan(4);
    const there = join(folder.path, program);
    const file = `${there}.json`;
    const key = (name: string): string =>
      name.replace(/-([a-z])/g, (_all, letter: string) => letter.toUpperCase());
    await writeFile(file, JSON.stringify(Object.fromEntries(options.map((name) => [key(name), nonsense]))));
    const variable = (name: string): string => `HOLDFAST_${name.replaceAll('-', '_').toUpperCase()}`;
    const sources = [
      { args: options.map((name) => `--${name}=${nonsense}`), nameOf: (name: string) => `--${name}` },
      { args: ['--config', file], nameOf: (name: string) => `"${key(name)}"` },
      {
        args: [],
        nameOf: variable,
        environment: Object.fromEntries(options.map((name) => [variable(name), nonsense])),
      },
    ];
    for (const { args, nameOf, environment } of sources) {
      const result = await run(program, [...args, '--data-dir', there], {
        ...(environment && { environment }),
      });
      expect({ status: result.status, stderr: result.stderr }).toMatchObject({ status: 2 });
      for (const name of options) expect(result.stderr).toContain(nameOf(name));
      expect(result.stderr).not.toMatch(/^\s+at /m);
      expect(await readdir(folder.path)).not.toContain(program);
    }
  });
});

describe('client', () => {
  /** Their values are names, patterns, or ids of what is there: any text is one. Help and versions are asked for. */
  const takesAnyText = /^(help|version|cursor|exclude|name|iname|cancel|accept-unknown)$/;
  /** Nobody listens there: whoever asks first and looks at its flags then has another status. */
  const nobody = { HOLDFAST_TRACKER: '127.0.0.1:1' };

  async function helpOf(...words: readonly string[]): Promise<string> {
    const { status, stdout } = await runHere([...words, '--help']);
    expect(status).toBe(0);
    return stdout.toString();
  }

  /** What stands for a word of a usage; by default a remote path. */
  const wordFor: Readonly<Record<string, () => string>> = {
    LOCAL: () => join(folder.path, 'local'),
    SOURCE: () => folder.path,
    DESTINATION: () => ':/x',
  };
  /** What a verb asks for beside its paths before it looks at the rest. */
  const alsoNeeded: Readonly<Record<string, string>> = { maintenance: '--for=1m', 'trash empty': '--yes' };

  /** Every verb, with the words of those that have two. */
  async function verbsOf(...group: readonly string[]): Promise<string[][]> {
    const listed = (await helpOf(...group)).matchAll(/^ {2}client ([a-z -]+?)(?: {2,}|$)/gm);
    return [...listed].map(([, words]) => words!.split(' '));
  }

  /** Its flags that can be wrong, and as many paths as it asks for. */
  async function usageOf(verb: readonly string[]): Promise<{ flags: string[]; paths: string[] }> {
    const help = await helpOf(...verb);
    const [options = ''] = /^Options:$[^]*?(?=^$)/m.exec(help) ?? [];
    const flags = [...options.matchAll(/^\s+(?:-\w, )?--([a-z-]+)/gm)].map(([, name]) => name!);
    const [usage = ''] = help.split('\n');
    const asked = usage.match(/(?<!\[)\b[A-Z]+\b/g) ?? [];
    return {
      flags: flags.filter((name) => !takesAnyText.test(name)),
      paths: asked.map((word) => wordFor[word]?.() ?? '/x'),
    };
  }

  it('names every flag of every verb that is nonsense, and touches nothing', async () => {
    const isVerb = ([word]: readonly string[]): boolean => word !== 'trash' && word !== 'completion';
    // The one is the first word of verbs, the other asks nobody for anything.
    const verbs = [...(await verbsOf()).filter(isVerb), ...(await verbsOf('trash'))];
    expect(verbs.length).toBeGreaterThan(30);
    await writeFile(join(folder.path, 'local'), 'something to send');
    const before = await fingerprint(folder.path);
    const wrong: unknown[] = [];
    let tried = 0;
    for (const verb of verbs) {
      const { flags, paths } = await usageOf(verb);
      for (const name of flags) {
        const needed = [alsoNeeded[verb.join(' ')] ?? []].flat();
        const more = needed.filter(() => !['for', 'end', 'yes'].includes(name));
        const words = [...verb, `--${name}=${nonsense}`, ...more, ...paths];
        const { status, stderr } = await runHere(words, nobody);
        // What is no path is told by what it is.
        const isNamed = stderr.includes(`--${name}`) || stderr.includes(JSON.stringify(nonsense));
        if (status !== 2 || !isNamed || /^\s+at /m.test(stderr)) {
          wrong.push({ verb, name, status, stderr });
        }
        tried += 1;
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(verbs.length * 4);
    expect(await fingerprint(folder.path)).toEqual(before);
  });

  it('names a variable that is nonsense', async () => {
    const { status, stderr } = await runHere(['ls'], { HOLDFAST_TRACKER: nonsense });
    expect({ status, stderr }).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('HOLDFAST_TRACKER'),
    });
  });
});

const [seed] = seeds() as [number];
const parameters = { seed, numRuns: 300 };

function refusesInWords(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (error instanceof ProgramOutput) return;
    if (!HoldfastError.is(error)) throw error;
    expect(error.code).toBe('INVALID_ARGUMENT');
  }
}

describe(`whatever it is given (seed ${seed})`, () => {
  const spec = {
    program: 'some-program',
    version: '1',
    describe: 'Does something.',
    options: {
      dataDir: option.paths({ describe: 'where', placeholder: 'DIR' }),
      listen: option.listenAddress({ describe: 'where', default: '127.0.0.1:0' }),
      trackers: option.addresses({ describe: 'where', default: 'a:1' }),
      capacity: option.size({ min: '1MiB', max: '1TiB' })({ describe: 'how much' }),
      interval: option.duration({ min: '50ms' })({ describe: 'how long', default: '1s' }),
      replicas: option.integer({ min: 1, max: 16 })({ describe: 'how many', default: '3' }),
      json: option.flag({ describe: 'whether', default: 'no' }),
      ...loggingOptions,
    },
    examples: [],
  } as const;
  const keys = Object.keys(spec.options);
  const flags = keys.map((each) => `--${each.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  const word = fc.oneof(
    fc.constantFrom(
      ...flags,
      ...flags.map((flag) => `--no-${flag.slice(2)}`),
      '--',
      '-',
      '--config',
      '--=x',
      '-x',
    ),
    fc.string({ unit: 'binary' }),
    fc.tuple(fc.constantFrom(...flags), fc.string()).map(([flag, value]) => `${flag}=${value}`),
  );

  it('on the command line and in variables, a configuration is right or refused', () => {
    const variables = fc.dictionary(
      fc.constantFrom(...keys.map((each) => `HOLDFAST_${each.toUpperCase()}`)),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word), variables, (argv, env) =>
        refusesInWords(() => loadConfig(spec, { argv, env })),
      ),
      parameters,
    );
  });

  it('in a file, a configuration is right or refused', async () => {
    const file = join(folder.path, 'any.json');
    const content = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(fc.constantFrom(...keys, '__proto__', 'constructor', 'toString'), fc.jsonValue()),
    );
    await fc.assert(
      fc.asyncProperty(content, async (json) => {
        await writeFile(file, JSON.stringify(json));
        refusesInWords(() => loadConfig(spec, { argv: ['--config', file], env: {} }));
      }),
      parameters,
    );
  });

  it.each([
    ...['', '[', 'null', '3', '[]', '"x"', '\0', '{"__proto__":1}', `{"json":"${'x'.repeat(2 ** 21)}"}`],
    `{"json":${'['.repeat(100_000)}`,
  ])('a file is no configuration, whatever it is: %.20s', async (content) => {
    const file = join(folder.path, 'odd.json');
    await writeFile(file, content);
    const load = (): unknown => loadConfig(spec, { argv: ['--config', file], env: {} });
    expect(load).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(load).toThrow('odd.json');
  });

  it.each(['/dev/zero', '/', '/nothing-is-called-so'])('what is no file is refused: %s', (path) => {
    const load = (): unknown => loadConfig(spec, { argv: ['--config', path], env: {} });
    expect(load).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it('a size, a duration and an address are read or refused', () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[\d.]{1,30}\s?[a-zA-Z]{0,4}$/),
      fc.stringMatching(/^[\w.[\]:%-]{0,40}:\d{0,7}$/),
    );
    fc.assert(
      fc.property(value, (text) => {
        for (const parse of [parseSize, parseDuration, parseAddress]) refusesInWords(() => parse(text));
      }),
      parameters,
    );
  });

  it('a path is one path, or refused', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('.', '..', '', '\0', 'a', '\ud800', '\u202e'),
    );
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const path = `/${parts.join('/')}`;
        refusesInWords(() => {
          const names = splitPath(path);
          expect(path).toBe(`/${names.join('/')}`);
          expect(names.filter((name) => /^\.{0,2}$|\/|\0/.test(name))).toEqual([]);
        });
      }),
      parameters,
    );
  });
});
