/**
 * Where the bytes of a version are: the tracker's answers, a page at a time, checked for sense. Once the first
 * page has named the version, all others are asked for by it, so a reader sees one version whatever is
 * committed meanwhile.
 */
import { hasCode } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { nonsense } from '../core/nonsense.js';
import { asking } from '../core/retrying.js';
import type { LocateChunksRequest, LocatedExtent, LocatedPage } from '../ports/tracker-api.js';

type Tools = Pick<ClientContext, 'tracker' | 'clock' | 'random'>;

/** One page, checked: contiguous from `request.offset` on, and going forward. */
export async function locatePage(
  tools: Tools,
  request: LocateChunksRequest,
  signal?: AbortSignal,
): Promise<LocatedPage> {
  const page = await asking(tools, signal, () => tools.tracker.locateChunks(request, { signal }));
  checkPage('LocateChunks', page, request);
  return page;
}

/**
 * Whole versions in one call, in the order asked for; undefined for one that has to be asked for by itself.
 *
 * @param versions at most `limits.maxLocatedFiles`
 */
export async function locateFiles(
  tools: Tools,
  versions: readonly number[],
  signal?: AbortSignal,
): Promise<readonly (LocatedPage | undefined)[]> {
  const pages = await asking(tools, signal, () => tools.tracker.locateFiles(versions, { signal })).catch(
    (error: unknown) => {
      // A tracker from before there was this call.
      if (hasCode(error, 'UNIMPLEMENTED')) return versions.map(() => undefined);
      throw error;
    },
  );
  if (pages.length !== versions.length)
    throw nonsense('LocateFiles', `of ${pages.length} files, not ${versions.length}`);
  for (const [index, version] of versions.entries()) {
    const page = pages[index];
    if (page) checkPage('LocateFiles', page, { target: { version }, offset: 0, lengthBytes: 0 });
  }
  return pages;
}

function checkPage(call: string, page: LocatedPage, request: LocateChunksRequest): void {
  const { offset, target } = request;
  if ('version' in target && page.version !== target.version) {
    throw nonsense(call, 'it is of another version');
  }
  let reached = offset;
  for (const extent of page.extents) {
    const { fileOffset, lengthBytes, chunkOffset, chunkLengthBytes } = extent;
    const startsWell = extent === page.extents[0] ? fileOffset <= offset : fileOffset === reached;
    if (!startsWell) throw nonsense(call, `there is a gap before ${fileOffset}`);
    if (chunkOffset + lengthBytes > chunkLengthBytes)
      throw nonsense(call, 'an extent passes the end of its chunk');
    reached = fileOffset + lengthBytes;
    if (reached <= offset || reached > page.sizeBytes) throw nonsense(call, `an extent ends at ${reached}`);
  }
  if (page.nextOffset !== 0 && (page.nextOffset !== reached || page.extents.length === 0)) {
    throw nonsense(call, `it goes on at ${page.nextOffset} after ${reached}`);
  }
  const end = request.lengthBytes === 0 ? page.sizeBytes : offset + request.lengthBytes;
  if (page.nextOffset === 0 && reached < Math.min(end, page.sizeBytes)) {
    throw nonsense(call, `it ends at ${reached} of ${page.sizeBytes} bytes`);
  }
}

/** The extents of a range from the page `first` on, with what is behind it asked for as it is needed. */
export async function* locatedExtents(
  tools: Tools,
  first: LocatedPage,
  endOffset: number,
  signal?: AbortSignal,
): AsyncGenerator<LocatedExtent, void, undefined> {
  for (let page = first; ;) {
    yield* page.extents;
    if (page.nextOffset === 0 || page.nextOffset >= endOffset) return;
    const target = { version: first.version };
    const range = { offset: page.nextOffset, lengthBytes: endOffset - page.nextOffset };
    page = await locatePage(tools, { target, ...range }, signal);
    checkLength(page, first);
  }
}

/** Every word about a version is of one length: a page that ends sooner would leave out the rest of the file. */
export function checkLength(
  { sizeBytes }: Pick<LocatedPage, 'sizeBytes'>,
  { version, sizeBytes: known }: Pick<LocatedPage, 'version' | 'sizeBytes'>,
): void {
  if (sizeBytes !== known)
    throw nonsense('LocateChunks', `version ${version} has two lengths: ${known}, ${sizeBytes}`);
}

/** The same extent with the places and the token of now. */
export async function locateAgain(
  tools: Tools,
  version: number,
  extent: LocatedExtent,
  signal?: AbortSignal,
): Promise<LocatedExtent> {
  const { fileOffset: offset, lengthBytes } = extent;
  const page = await locatePage(tools, { target: { version }, offset, lengthBytes }, signal);
  const [found] = page.extents;
  if (!found || !isSameChunk(found, extent)) throw nonsense('LocateChunks', 'a version changed its chunks');
  return found;
}

/** All but who has it now, and the token. */
function isSameChunk(one: LocatedExtent, other: LocatedExtent): boolean {
  return (
    one.chunkId === other.chunkId &&
    one.chunkDigest.equals(other.chunkDigest) &&
    one.chunkLengthBytes === other.chunkLengthBytes &&
    one.blockSizeBytes === other.blockSizeBytes &&
    one.fileOffset === other.fileOffset &&
    one.chunkOffset === other.chunkOffset &&
    one.lengthBytes === other.lengthBytes
  );
}
