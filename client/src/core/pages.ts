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
 * @param nameOf what an item is called in messages
 * @param follows whether one item may come after another; an order that grows is sure to end
 * @throws HoldfastError INTERNAL for a page out of order, and for one with nothing on it that names another one
 */
export async function* pagesOf<Item>(
  call: string,
  ask: (token: string) => Promise<Page<Item>>,
  nameOf: (item: Item) => string | number,
  follows: (last: Item, next: Item) => boolean,
): AsyncGenerator<Item, void, undefined> {
  let token = '';
  let last: Item | undefined;
  do {
    const page = await ask(token);
    for (const item of page.items) {
      if (last !== undefined && !follows(last, item)) {
        throw nonsense(call, `it is out of order at ${JSON.stringify(nameOf(item))}`);
      }
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
