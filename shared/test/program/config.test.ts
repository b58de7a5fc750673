import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitStatusOf } from '../../src/errors/index.js';
import { type ConfigSources, loadConfig, ProgramOutput } from '../../src/program/config.js';
import { loggingOptions, option } from '../../src/program/options.js';

const spec = {
  program: 'data-keeper',
  version: '0.1.0',
  describe: 'Keeps chunks.',
  options: {
    dataDir: option.path({ describe: 'Where the chunks are', required: true, placeholder: 'DIR' }),
    listen: option.listenAddress({ describe: 'Where to listen', default: '127.0.0.1:7501' }),
    tracker: option.addresses({ describe: 'The trackers', default: '127.0.0.1:7400' }),
    capacity: option.size({ min: '1MiB' })({ describe: 'How much to keep' }),
    heartbeatInterval: option.duration({ max: '10s' })({ describe: 'How often to report', default: '1s' }),
    streams: option.integer({ min: 1, max: 1000 })({ describe: 'Streams at once', default: '64' }),
    scrub: option.flag({ describe: 'Verify in the background', default: 'true' }),
    secret: option.text({ describe: 'The shared secret', secret: true }),
    ...loggingOptions,
  },
  examples: [['data-keeper --data-dir /srv/a', 'keeps chunks there']],
} as const;

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-config-'));
});

afterEach(() => rmSync(dir, { recursive: true }));

function load(argv: readonly string[], { env = {} }: ConfigSources = {}) {
  return loadConfig(spec, { argv, env });
}

function configFile(content: unknown): string {
  const path = join(dir, 'keeper.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** The list of mistakes, each a line. */
function mistakes(argv: readonly string[], env: Record<string, string> = {}): string[] {
  try {
    load(argv, { env });
  } catch (error) {
    expect(exitStatusOf(error)).toBe(2);
    return (error as Error).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

describe('a configuration', () => {
  test('is typed, with defaults read as if typed', () => {
    const config = load(['--data-dir', '/srv/a']);
    const typed: { listen: { port: number }; capacity: number | undefined; scrub: boolean } = config;
    expect(typed).toEqual({
      dataDir: '/srv/a',
      listen: { host: '127.0.0.1', port: 7501 },
      tracker: [{ host: '127.0.0.1', port: 7400 }],
      capacity: undefined,
      heartbeatInterval: 1000,
      streams: 64,
      scrub: true,
      secret: undefined,
      logLevel: 'info',
      logFormat: 'auto',
    });
  });

  test('takes flags before variables before the file before defaults', () => {
    const path = configFile({ dataDir: '/file', streams: 7, capacity: 2_000_000, tracker: ['a:1', 'b:2'] });
    const env = { HOLDFAST_CONFIG: path, HOLDFAST_DATA_DIR: '/variable', HOLDFAST_STREAMS: '8' };
    expect(load(['--streams', '9'], { env })).toMatchObject({
      streams: 9,
      dataDir: '/variable',
      capacity: 2_000_000,
      tracker: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
      heartbeatInterval: 1000,
    });
    expect(load(['--config', path], { env: { HOLDFAST_DATA_DIR: '' } }).dataDir).toBe('/file');
  });

  test('takes flags in all their spellings', () => {
    const base = ['--data-dir=/srv/a'];
    expect(load([...base, '--no-scrub']).scrub).toBe(false);
    expect(load([...base, '--scrub=false']).scrub).toBe(false);
    expect(load([...base, '--scrub=yes']).scrub).toBe(true);
    expect(mistakes([...base, '--scrub=maybe'])).toEqual([
      '--scrub: "maybe" is neither yes nor no; expected true or false',
    ]);
    expect(mistakes([...base, '--scrub=yes', '--scrub'])).toEqual(['--scrub: was given more than once']);
    expect(load(base, { env: { HOLDFAST_SCRUB: 'no' } }).scrub).toBe(false);
    expect(load([...base, '--tracker', 'a:1', '--tracker', 'b:2,c:3']).tracker).toHaveLength(3);
    expect(load([...base, '--secret', '007']).secret).toBe('007');
  });

  test('names every mistake in one go, each with its place', () => {
    const path = configFile({ dataDirr: '/x', heartbeatInterval: '1min', logLevel: 'loud' });
    expect(
      mistakes(['--config', path, '--listen', 'nowhere', '--streems', '3', 'stray'], {
        HOLDFAST_CAPACITY: '1KiB',
        HOLDFAST_STREAMS: 'many',
        HOLDFAST_SCRUB: 'perhaps',
      }).sort(),
    ).toEqual(
      [
        '--streems: no such option; did you mean --streams?',
        '"stray": data-keeper takes options only',
        `${path}: no key "dataDirr"; did you mean "dataDir"?`,
        '--data-dir DIR is missing (or set HOLDFAST_DATA_DIR, or "dataDir" in the --config file)',
        '--listen: "nowhere" has no port; expected HOST:PORT, such as 127.0.0.1:7400',
        'HOLDFAST_CAPACITY: "1KiB" is too small; expected at least 1MiB',
        `${path}: "heartbeatInterval": "1min" is too large; expected at most 10s`,
        'HOLDFAST_STREAMS: "many" is not a whole number; expected one such as 3',
        'HOLDFAST_SCRUB: "perhaps" is neither yes nor no; expected true or false',
        `${path}: "logLevel": "loud" is none of debug, info, warn, error`,
      ].sort(),
    );
  });

  test('says which flags have no value or too many', () => {
    expect(mistakes(['--data-dir', '--listen', 'a:1', '--listen', 'b:2', '--tracker'])).toEqual([
      '--data-dir: has no value; expected DIR',
      '--listen: was given more than once',
      '--tracker: has no value',
    ]);
  });

  test('never shows a secret', () => {
    const all = mistakes(['--data-dir', 'd', '--config', configFile({ secret: { hunter2: 1 } })]).join();
    expect(all).toContain('"secret": its value is not valid');
    expect(all).not.toContain('hunter2');
  });

  test.each([
    ['[]', 'expected an object'],
    ['{"a":', 'is not JSON'],
    ['{"dataDir": {}}', '"dataDir"'],
  ])('refuses the file %j', (content, problem) => {
    expect(mistakes(['--config', configFile(content)]).join()).toContain(problem);
  });

  test('refuses a file that is not there', () => {
    expect(mistakes(['--data-dir', 'd', '--config', join(dir, 'no.json')]).join()).toContain('ENOENT');
  });

  test('checks relations once the values are right', () => {
    const related = {
      ...spec,
      check: (config: { streams: number }) =>
        config.streams > 10 ? ['--streams: too many for --scrub'] : [],
    };
    expect(() => loadConfig(related, { argv: ['--data-dir', 'd'], env: {} })).toThrow('too many for --scrub');
  });
});

test('the help shows options, defaults, examples and the order of the sources', () => {
  let text = '';
  try {
    load(['--help', '--nonsense']);
  } catch (error) {
    text = (error as ProgramOutput).text;
    expect(error).toBeInstanceOf(ProgramOutput);
  }
  for (const part of [
    '--data-dir',
    '[DIR]',
    '(required)',
    '127.0.0.1:7501',
    'keeps chunks there',
    'HOLDFAST_DATA_DIR',
    'Flags win over variables',
  ]) {
    expect(text).toContain(part);
  }
});
