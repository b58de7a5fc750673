/**
 * Two trees side by side, a local and a remote one or whatever else: each entry of the one with that of the same
 * names in the other. A merge of two sorted listings, directory by directory: one entry of each is in memory for each
 * level, however many there are. Pure.
 */
import { asHoldfastError } from './reporter.js';
import type { HoldfastError } from '@holdfast/shared';

interface Node {
  /** From the top of its tree down; none for the top itself. */
  readonly names: readonly string[];
  readonly type: string;
}

/** How a tree is looked into. */
export interface Tree<N extends Node> {
  /** What is in a directory, in byte order of the names; rejects if that one directory cannot be read. */
  open(directory: N): Promise<AsyncIterable<N>>;
}

/** At least one of the two is there. */
export interface Pair<L extends Node, R extends Node> {
  readonly left?: L;
  readonly right?: R;
  /** Why it is not known what is in one of these two directories: no pair of what is in them follows. */
  readonly unreadable?: HoldfastError;
}

/**
 * The pairs below two entries, those two first, each directory before what is in it and the names of a directory in
 * byte order.
 *
 * @param goesInto whether the pairs below one are wanted, where one of the two is a directory; asked when it has
 *   been taken
 * @throws what a listing that was opened throws
 */
export async function* pairsOf<L extends Node, R extends Node>(
  left: Tree<L>,
  right: Tree<R>,
  top: Pair<L, R>,
  goesInto: (pair: Pair<L, R>) => boolean,
): AsyncGenerator<Pair<L, R>, void, undefined> {
  yield top;
  if (!(isDirectory(top.left) || isDirectory(top.right)) || !goesInto(top)) return;
  let listings;
  try {
    listings = await Promise.all([open(left, top.left), open(right, top.right)]);
  } catch (error) {
    yield { ...top, unreadable: asHoldfastError(error) };
    return;
  }
  for await (const pair of merge(...listings)) yield* pairsOf(left, right, pair, goesInto);
}

function isDirectory(node: Node | undefined): boolean {
  return node?.type === 'directory';
}

async function open<N extends Node>(tree: Tree<N>, node: N | undefined): Promise<AsyncIterable<N>> {
  return node && isDirectory(node) ? tree.open(node) : none();
}

async function* none(): AsyncGenerator<never, void, undefined> {
  // There is nothing.
}

async function* merge<L extends Node, R extends Node>(
  lefts: AsyncIterable<L>,
  rights: AsyncIterable<R>,
): AsyncGenerator<Pair<L, R>, void, undefined> {
  const ones = lefts[Symbol.asyncIterator]();
  const others = rights[Symbol.asyncIterator]();
  try {
    let left = await next(ones);
    let right = await next(others);
    while (left || right) {
      const order = compare(left, right);
      yield { ...(left && order <= 0 && { left }), ...(right && order >= 0 && { right }) };
      if (order <= 0) left = await next(ones);
      if (order >= 0) right = await next(others);
    }
  } finally {
    await Promise.all([ones.return?.(), others.return?.()]);
  }
}

async function next<N>(iterator: AsyncIterator<N>): Promise<N | undefined> {
  const result = await iterator.next();
  return result.done === true ? undefined : result.value;
}

/** Below 0 if the left one comes first, which is there alone then; what is not there comes last. */
function compare(left: Node | undefined, right: Node | undefined): number {
  if (!left) return 1;
  if (!right) return -1;
  // Text sorts by its UTF-16, which is another order.
  return Buffer.compare(Buffer.from(left.names.at(-1) ?? ''), Buffer.from(right.names.at(-1) ?? ''));
}
