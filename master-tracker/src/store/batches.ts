/** Lists in SQL, in bounded pieces: a statement has a bounded number of parameters. */

/** Rows of up to ten columns stay below SQLite's 32,766 parameters and PostgreSQL's 65,535. */
const batchSize = 500;

/** Cuts `items` into runs that fit a statement; none for an empty list. */
export function* batches<T>(items: readonly T[]): Generator<readonly T[], void, undefined> {
  for (let start = 0; start < items.length; start += batchSize) {
    yield items.slice(start, start + batchSize);
  }
}
