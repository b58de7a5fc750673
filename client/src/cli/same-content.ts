/** Whether a local file and a remote one have the same bytes, by their content digests: for --checksum. */
import type { Options } from 'yargs';
import type { HoldfastClient } from '../client.js';
import { contentDigest } from '../local/content-digest.js';
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

/** Undefined without --checksum. A remote file without a digest is fetched for it. */
export function sameContentBy(
  { flags, signal }: CommandContext,
  client: HoldfastClient,
): SameContent<LocalNode, RemoteNode> | undefined {
  if (!flags.isSet('checksum')) return undefined;
  return async (local, { entry }) => {
    const here = await contentDigest(local.entry.path, { signal });
    const there =
      entry.contentDigest ?? (await contentDigest(client.createReadStream(entry, { signal }), { signal }));
    return here === there;
  };
}
