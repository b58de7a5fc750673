/**
 * Queries that are built and compiled once. The failure it answers: Kysely builds a tree and a text of a query
 * each time, which costs several times what a look-up by key does, and an upload has twenty of them.
 *
 * A prepared query is built with stand-ins for its arguments. Lists are fine: each length is a text of its own.
 */
import type { Compilable, Kysely } from 'kysely';
import type { MetadataTables } from './schema.js';

type Value = string | number | null;
/** A row of a table as arguments are declared: a type of its own keys, where an interface may have more. */
export type Row<T> = { readonly [K in keyof T]: T[K] };

/** What a query is told: values, lists of values, and rows to be inserted. */
export type QueryArguments = Readonly<
  Record<string, Value | readonly Value[] | readonly Row<Record<string, Value>>[]>
>;

export interface CompiledText {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** With more in its lists a query is rare and its text long: it is compiled each time. */
const maxListed = 16;

/** A stand-in: where in the arguments the value is. */
class Argument {
  readonly #path: readonly (string | number)[];

  constructor(path: readonly (string | number)[]) {
    this.#path = path;
  }

  of(values: QueryArguments): unknown {
    let value: unknown = values;
    for (const step of this.#path) value = (value as Record<string | number, unknown>)[step];
    return value;
  }
}

function standIn(value: unknown, path: readonly (string | number)[]): unknown {
  if (Array.isArray(value)) return value.map((item, index) => standIn(item, [...path, index]));
  if (typeof value !== 'object' || value === null) return new Argument(path);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, standIn(item, [...path, key])]));
}

export class PreparedQuery<A extends QueryArguments, R> {
  readonly #build: (db: Kysely<MetadataTables>, args: A) => Compilable<R>;
  /** By the lengths of the lists in the arguments. */
  readonly #texts = new Map<string, CompiledText>();

  constructor(build: (db: Kysely<MetadataTables>, args: A) => Compilable<R>) {
    this.#build = build;
  }

  /** The text and parameters of the query for these arguments. For stores. */
  compile(db: Kysely<MetadataTables>, args: A): CompiledText {
    const shape = shapeOf(args);
    if (shape === undefined) return this.#build(db, args).compile();
    let text = this.#texts.get(shape);
    if (!text) {
      const { sql, parameters } = this.#build(db, standIn(args, []) as A).compile();
      text = { sql, parameters };
      this.#texts.set(shape, text);
    }
    const parameters = text.parameters.map((parameter) =>
      parameter instanceof Argument ? parameter.of(args) : parameter,
    );
    return { sql: text.sql, parameters };
  }
}

/** The lengths of the lists; undefined where they hold too much to be remembered. */
function shapeOf(args: QueryArguments): string | undefined {
  let shape = '';
  let listed = 0;
  for (const value of Object.values(args)) {
    if (!Array.isArray(value)) continue;
    listed += value.length;
    shape += `${value.length} `;
  }
  return listed > maxListed ? undefined : shape;
}

/**
 * A query to be run with `MetadataSnapshot.run`. `build` sees stand-ins, so it must only pass its arguments on:
 * what it does may depend on how long a list is, and on no value.
 *
 * @example const byName = prepare((db, args: { parentId: number; name: string }) => db.selectFrom('entries')…)
 */
export function prepare<A extends QueryArguments, R>(
  build: (db: Kysely<MetadataTables>, args: A) => Compilable<R>,
): PreparedQuery<A, R> {
  return new PreparedQuery(build);
}
