/** The command line of `npm run fire`. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

export interface FireCommand {
  /** How long phases are begun. */
  readonly minutes: number;
  /** Of the first phase; each later one has the next number. */
  readonly seed: number;
  readonly keepers: number;
  /** One JSON document at the end, on standard output; progress goes to standard error. */
  readonly json: boolean;
}

export const usage = `Usage: npm run fire -- [options]

Real processes under fire: a tracker, keepers, clients and command lines that work while processes are killed and
frozen, links are cut and narrow, and disks are full, frozen and wiped. A phase lasts for three quarters of a minute;
then all is mended and judged, and the next phase begins on the same cluster. Stops with status 1 at the first broken
promise.

  --minutes N   how long phases are begun (default 5)
  --seed S      of the first phase, and S+1 of the next (default: a random one, which is printed)
  --keepers K   how many keepers, 4 to 16 (default 5)
  --json        one JSON document at the end

As root, with ext4 and loop devices, a keeper's disk is filled and frozen as well. HOLDFAST_TEST_DIR says where all is kept.

Examples:
  npm run fire -- --minutes 30              half an hour
  npm run fire -- --seed 4711 --minutes 1   one phase again, with the same faults
`;

const bounds = {
  minutes: { least: 0, most: 100_000, isWhole: false },
  seed: { least: 0, most: 2 ** 31 - 1, isWhole: true },
  // Of fewer, none could be hit while a file has its three copies.
  keepers: { least: 4, most: 16, isWhole: true },
} as const;

/** @throws Error in words for the user */
export function parseOptions(args: readonly string[]): FireCommand | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      seed: { type: 'string' },
      keepers: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const number = (name: keyof typeof bounds, otherwise: number): number => {
    const text = values[name];
    if (text === undefined) return otherwise;
    const { least, most, isWhole } = bounds[name];
    const value = Number(text);
    if (text.trim() !== '' && value >= least && value <= most && (!isWhole || Number.isInteger(value))) {
      return value;
    }
    throw new Error(`--${name} must be a number from ${least} to ${most}, not "${text}"`);
  };
  return {
    minutes: number('minutes', 5),
    // A seed for each phase of many hours is left.
    seed: number('seed', randomInt(2 ** 30)),
    keepers: number('keepers', 5),
    json: values.json,
  };
}
