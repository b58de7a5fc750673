/** Whether a local file and a remote one have the same bytes, by their content digests: for --checksum. */
import type { Options } from 'yargs';
import type { HoldfastClient } from '../client.js';
import type { CommandContext } from './command.js';
import type { SameContent } from './differences.js';
import type { LocalNode, RemoteNode } from './trees.js';

export const checksumOption: Readonly<Record<string, Options>> = {
  checksum: {
    type: 'boolean',
    alias: 'c',
    describe: 'Compare contents, not times: reads local files of the same size',
  },
};

/** Undefined without --checksum. What no digest is known of is fetched. */
export function sameContentBy(
  { flags, signal }: CommandContext,
  client: HoldfastClient,
): SameContent<LocalNode, RemoteNode> | undefined {
  if (!flags.isSet('checksum')) return undefined;
  return async (local, { entry }) =>
    (await client.compare(local.entry.path, entry, { fetch: true, signal })) === 'same';
}
