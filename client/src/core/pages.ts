/**
 * Lists that come in pages. The failure it answers: a tracker whose answers always name another page, so that who lists
 * never gets to an end, and fills its memory or waits for ever.
 */
import { nonsense } from './nonsense.js';

export interface Page<Item> {
  readonly items: readonly Item[];
  /** '' of the last one. */
  readonly nextPageToken: string;
}

/**
 * The items of all pages.
 *
 * @param call for messages: `ListEntries`
 * @param ask for the page of a token; '' asks for the first one
 * @param nameOf what an item is called in messages, which tells it from those that may come in any order with it
 * @param order below 0 where the second item comes after the first, 0 where they may come in any order, but each once
 * @throws HoldfastError INTERNAL for items out of order or twice, and for a page with nothing on it that names another one
 */
export async function* pagesOf<Item>(
  call: string,
  ask: (token: string) => Promise<Page<Item>>,
  nameOf: (item: Item) => string,
  order: (last: Item, next: Item) => number,
): AsyncGenerator<Item, void, undefined> {
  let token = '';
  let last: Item | undefined;
  /** Of the last one, and of those that may come in any order with it: or the same pages could come again and again. */
  const seen = new Set<string>();
  do {
    const page = await ask(token);
    for (const item of page.items) {
      const name = nameOf(item);
      const ordered = last === undefined ? -1 : order(last, item);
      if (ordered < 0) seen.clear();
      if (ordered > 0) throw nonsense(call, `it is out of order at ${name}`);
      if (seen.has(name)) throw nonsense(call, `it has ${name} twice`);
      seen.add(name);
      last = item;
      yield item;
    }
    token = page.nextPageToken;
    if (token !== '' && page.items.length === 0) throw nonsense(call, 'an empty page is not the last one');
  } while (token !== '');
}

/** As the tracker orders texts: by their bytes. */
export function compareBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
