/**
 * Whether a local file has the bytes of a remote one, without moving them: by the digest of the whole, or, where nobody
 * said it, chunk by chunk, as the digest of each chunk is known. Nothing is known of a part of a chunk; its bytes are
 * fetched if that is asked for.
 */
import { stat } from 'node:fs/promises';
import { HoldfastError, fromErrno, limits } from '@holdfast/shared';
import { digestOfBytes } from '../core/content-digest.js';
import type { ClientContext } from '../core/context.js';
import { checkLength, locatePage, locatedExtents } from '../download/locate.js';
import { readBytes } from '../download/read-stream.js';
import type { CallSignal } from '../namespace/namespace.js';
import type { Entry, LocatedExtent } from '../ports/tracker-api.js';
import { contentDigest, digestOfRange } from './content-digest.js';

/** 'unknown': of some bytes no digest is known, and all others are the same. */
export type Comparison = 'same' | 'different' | 'unknown';

export interface CompareOptions extends CallSignal {
  /** Whether bytes of which no digest is known are fetched. Default false. */
  readonly fetch?: boolean;
}

/** Reads the local file, and of the remote one what is fetched. Little is in memory, however long they are. */
export async function compareFile(
  context: ClientContext,
  localPath: string,
  { version, sizeBytes, contentDigest: digest }: Entry,
  { fetch = false, signal }: CompareOptions = {},
): Promise<Comparison> {
  if ((await lengthOf(localPath)) !== sizeBytes) return 'different';
  if (digest !== undefined) {
    return (await contentDigest(localPath, { signal })) === digest ? 'same' : 'different';
  }
  if (sizeBytes === 0) return 'same';
  const target = { version };
  const first = await locatePage(context, { target, offset: 0, lengthBytes: 0 }, signal);
  checkLength(first, { version, sizeBytes });
  let comparison: Comparison = 'same';
  for await (const extent of locatedExtents(context, first, sizeBytes, signal)) {
    const range = { start: extent.fileOffset, end: extent.fileOffset + extent.lengthBytes - 1 };
    const bytes = () => readBytes(context, target, { ...range, signal });
    const there = digestOf(extent) ?? (fetch ? await digestOfBytes(bytes()) : undefined);
    if (!there) comparison = 'unknown';
    else if (!there.equals(await digestOfRange(localPath, range, signal))) return 'different';
  }
  return comparison;
}

/** The digest of an extent's bytes, if it is a whole chunk of blocks as the content digest has them. */
function digestOf({
  chunkOffset,
  lengthBytes,
  chunkLengthBytes,
  blockSizeBytes,
  chunkDigest,
}: LocatedExtent) {
  const isWhole = chunkOffset === 0 && lengthBytes === chunkLengthBytes;
  return isWhole && blockSizeBytes === limits.blockSizeBytes ? chunkDigest : undefined;
}

/** @throws HoldfastError NOT_FOUND, IS_A_DIRECTORY, INVALID_ARGUMENT for a pipe or a device */
async function lengthOf(path: string): Promise<number> {
  const shown = JSON.stringify(path);
  const status = await stat(path).catch((error: unknown) => {
    throw fromErrno(error, `cannot read ${shown}`);
  });
  if (status.isFile()) return status.size;
  if (status.isDirectory()) throw new HoldfastError('IS_A_DIRECTORY', `${shown} is a directory`);
  throw new HoldfastError('INVALID_ARGUMENT', `${shown} is a socket, a device or a pipe`, {
    remedy: 'Compare a file.',
  });
}
