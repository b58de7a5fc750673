/** Metadata calls through the library: what they are about, and how each is made. */
import type { HoldfastClient } from '@holdfast/client';
import type { MetadataCall } from '../contender.js';

const place = '/metadata';
/** Fits one page of a listing, as most directories do. */
const entries = 100;
let made = 0;

/** A directory of 100 directories, and one to make more in. */
export async function makeMetadataPlace(client: HoldfastClient): Promise<void> {
  await client.makeDirectory(`${place}/made`, { parents: true });
  await client.makeDirectory(`${place}/listed`);
  for (let number = 0; number < entries; number += 1) await client.makeDirectory(`${place}/listed/${number}`);
}

/** How to make the call once; `index` chooses an entry. */
export function metadataCall(client: HoldfastClient, call: MetadataCall): (index: number) => Promise<void> {
  switch (call) {
    case 'stat':
      return async (index) => {
        await client.stat(`${place}/listed/${index % entries}`);
      };
    case 'list':
      return async () => {
        let count = 0;
        for await (const entry of client.list(`${place}/listed`)) count += entry.path.length > 0 ? 1 : 0;
        if (count !== entries) throw new Error(`a directory of ${entries} has ${count} entries`);
      };
    case 'mkdir':
      return async () => {
        made += 1;
        await client.makeDirectory(`${place}/made/${made}`);
      };
  }
}
