/** The command line of `npm run simulate`. */
import { parseArgs } from 'node:util';
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';

export interface SimulateOptions {
  readonly firstSeed: number;
  /** How many seeds in a row; or as many as fit into the minutes. */
  readonly seeds: number;
  readonly minutes: number;
  /** Processes side by side. */
  readonly jobs: number;
  /** Faults of the one history's plan, by their place in it, that are left out. */
  readonly without: ReadonlySet<number>;
  /** Prints the whole trace of each history. */
  readonly trace: boolean;
  readonly minimise: boolean;
  /** Prints one JSON document; what is for people goes to standard error. */
  readonly json: boolean;
}

export const usage = `Usage: npm run simulate -- [options]

Runs histories: a whole cluster of the real code on virtual time, with faults that follow from the seed. Stops with
status 1 at the first one that breaks a promise, after finding the fewest faults that break it.

  --seeds N     how many histories (default 100; with --minutes as many as fit)
  --minutes M   how long at most
  --seed S      the first seed (default: a random one, which is printed); alone it runs that one history
  --without N,… leave out these faults of the one history, by their numbers from 0 on
  --jobs J      processes side by side (default: one for each core)
  --trace       print all that happened in the one history
  --no-minimise show a failing history as it was
  --json        print one JSON document: what was covered, how fast, and what was broken

Examples:
  npm run simulate                         100 fresh histories
  npm run simulate -- --minutes 30         half an hour of fresh ones
  npm run simulate -- --seed 4711 --trace  one again, with what happened
`;

const maxSeed = 2 ** 40;

/** @throws Error in words for the user */
export function parseOptions(args: readonly string[]): SimulateOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    allowNegative: true,
    options: {
      seeds: { type: 'string' },
      minutes: { type: 'string' },
      seed: { type: 'string' },
      jobs: { type: 'string' },
      without: { type: 'string' },
      trace: { type: 'boolean', default: false },
      minimise: { type: 'boolean', default: true },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const number = (name: 'seeds' | 'minutes' | 'seed' | 'jobs', most: number): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (
      text.trim() !== '' &&
      value >= 0 &&
      value <= most &&
      (name === 'minutes' || Number.isInteger(value))
    ) {
      return value;
    }
    throw new Error(`--${name} must be a number from 0 to ${most}, not "${text}"`);
  };
  const seed = number('seed', maxSeed);
  const minutes = number('minutes', 100_000);
  const one = seed !== undefined && values.seeds === undefined && minutes === undefined;
  if (values.without !== undefined && !one) throw new Error('--without needs the --seed of one history');
  return {
    without: numbersIn(values.without ?? ''),
    firstSeed: seed ?? randomInt(maxSeed),
    seeds: number('seeds', maxSeed) ?? (one ? 1 : minutes === undefined ? 100 : Infinity),
    minutes: minutes ?? Infinity,
    jobs: one ? 1 : Math.max(1, number('jobs', 256) ?? availableParallelism()),
    trace: values.trace,
    // What somebody has left out he has done by hand.
    minimise: values.minimise && values.without === undefined,
    json: values.json,
  };
}

/** @throws Error in words for the user */
function numbersIn(text: string): ReadonlySet<number> {
  if (!/^(\d+(,\d+)*)?$/.test(text)) throw new Error(`--without must be numbers as in 1,4,7, not "${text}"`);
  return new Set(text.split(',').filter(Boolean).map(Number));
}

/** What has the same history again. */
export function commandOf(seed: number, without: ReadonlySet<number>): string {
  const left = without.size === 0 ? '' : ` --without ${[...without].join(',')}`;
  return `npm run simulate -- --seed ${seed}${left} --trace`;
}
