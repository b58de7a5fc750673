/** What comes in one order, in another one: with --sort, --reverse and --limit. */
import { HoldfastError } from '@holdfast/shared';
import type { Options } from 'yargs';
import type { FlagSpec, Flags } from './command.js';
import { flagValue, wholeNumber } from './flag-values.js';

/** Below 0 if the first one comes first. What is equal stays in the order in which it came. */
export type Order<T> = (one: T, other: T) => number;

export function sortOptions(by: readonly string[]): Readonly<Record<string, FlagSpec>> {
  return {
    sort: {
      type: 'string',
      requiresArg: true,
      describe: `Sort by ${by.join(', ')}; the largest and newest first`,
      words: by,
    },
    reverse: { type: 'boolean', alias: 'r', describe: 'The other way round' },
  };
}

export const limitOption: Readonly<Record<string, Options>> = {
  limit: { type: 'string', requiresArg: true, describe: 'Only so many, the first ones' },
};

export interface Sorting<T> {
  readonly order: Order<T>;
  readonly isReversed: boolean;
}

/**
 * What the flags ask for; undefined for the order of names, in which everything comes anyway.
 *
 * @param orders by the words of --sort, beside "name"
 * @param short flags that stand for one of these words
 * @throws HoldfastError INVALID_ARGUMENT
 */
export function sortingBy<T>(
  flags: Flags,
  orders: Readonly<Record<string, Order<T>>>,
  short: Readonly<Record<string, string>> = {},
): Sorting<T> | undefined {
  const known = ['name', ...Object.keys(orders)];
  const checked = (text: string): string => {
    if (known.includes(text)) return text;
    throw new HoldfastError('INVALID_ARGUMENT', `expected ${known.join(', ')}, not "${text}"`);
  };
  const asShort = Object.entries(short).find(([flag]) => flags.isSet(flag))?.[1];
  const word = flagValue(flags, 'sort', checked) ?? asShort ?? 'name';
  const isReversed = flags.isSet('reverse');
  const order = orders[word] ?? ((): number => 0);
  return word === 'name' && !isReversed ? undefined : { order, isReversed };
}

/** The flag's value, or Infinity. */
export function limitBy(flags: Flags): number {
  return flagValue(flags, 'limit', wholeNumber(1, Number.MAX_SAFE_INTEGER)) ?? Infinity;
}

/**
 * The first `limit` items in their order. All of them are in memory, or with a limit no more than twice as many;
 * without a sorting they are given as they come, and no more than these are asked for.
 */
export async function* inOrder<T>(
  items: AsyncIterable<T>,
  sorting: Sorting<T> | undefined,
  limit: number,
): AsyncGenerator<T, void, undefined> {
  if (sorting) yield* await sorted(items, sorting, limit);
  else {
    let left = limit;
    for await (const item of items) {
      yield item;
      left -= 1;
      if (left === 0) return;
    }
  }
}

async function sorted<T>(
  items: AsyncIterable<T>,
  { order, isReversed }: Sorting<T>,
  limit: number,
): Promise<T[]> {
  const sign = isReversed ? -1 : 1;
  let kept: { readonly item: T; readonly index: number }[] = [];
  const cut = (): void => {
    kept.sort((one, other) => sign * (order(one.item, other.item) || one.index - other.index));
    kept = kept.slice(0, limit);
  };
  let index = 0;
  for await (const item of items) {
    kept.push({ item, index });
    index += 1;
    if (kept.length >= 2 * limit) cut();
  }
  cut();
  return kept.map(({ item }) => item);
}
