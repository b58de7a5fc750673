/**
 * Finding the session of an upload that was interrupted, and what of it need not be sent again. The tracker decides:
 * receipts that only the record has are told to it first, and then what it lists is there.
 */
import { HoldfastError, digestOfTable, hasCode, limits, namespaceRefusals, newId } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { nonsense } from '../core/nonsense.js';
import { alreadyExists } from '../core/refusals.js';
import { asking } from '../core/retrying.js';
import type {
  CommitUploadRequest,
  CommittedFile,
  SealedChunk,
  UploadPage,
  UploadSession,
} from '../ports/tracker-api.js';
import type { AskedCommit, LeftUpload, UploadJournal, WrittenChunk } from '../ports/upload-journal.js';
import { cutSizeFor } from './plan.js';
import { commitOnce } from './session.js';

export interface FoundUpload {
  readonly session: UploadSession;
  readonly isCommitted: boolean;
  readonly storedBytes: number;
  /** What is there, by where it stands in the file. */
  readonly stored: ReadonlyMap<number, WrittenChunk>;
}

/** The session with what is there; undefined if nobody can go on with it. */
export async function findUpload(
  context: ClientContext,
  left: LeftUpload,
  sizeBytes: number,
  signal: AbortSignal,
): Promise<FoundUpload | undefined> {
  try {
    let { first, chunks } = await describe(context, left.uploadId, signal);
    if (first.state === 'aborted') return undefined;
    const listed = new Set(chunks.map(({ chunkId }) => chunkId));
    const unknown = left.sealed.filter(
      ({ chunkId, receipts }) => receipts.length > 0 && !listed.has(chunkId),
    );
    if (first.state === 'open' && unknown.length > 0) {
      await tell(context, left.uploadId, unknown, signal);
      ({ first, chunks } = await describe(context, left.uploadId, signal));
    }
    const { leaseMs, policy, chunkSizeBytes, blockSizeBytes, tokenLifetimeMs } = first;
    const limitsOf = { leaseMs, policy, chunkSizeBytes, blockSizeBytes, tokenLifetimeMs };
    const stored = fitting(withChecksums(chunks, left.sealed), sizeBytes, cutSizeFor(chunkSizeBytes));
    return {
      session: { uploadId: left.uploadId, ...limitsOf, allocations: [] },
      isCommitted: first.state === 'committed',
      stored,
      storedBytes: [...stored.values()].reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
    };
  } catch (error) {
    // Gone, over meanwhile, or not what the record says: the upload begins anew.
    if (hasCode(error, 'NOT_FOUND', 'UPLOAD_CLOSED', 'INVALID_ARGUMENT')) return undefined;
    throw error;
  }
}

/**
 * Those whose blocks' checksums were written down, which the digest of the whole file is made of. They are right if the
 * chunk's digest is theirs; a chunk without them is sent again.
 */
function* withChecksums(
  chunks: readonly SealedChunk[],
  written: readonly WrittenChunk[],
): Generator<WrittenChunk> {
  const known = new Map(written.map(({ chunkId, checksums }) => [chunkId, checksums]));
  for (const chunk of chunks) {
    const checksums = known.get(chunk.chunkId);
    if (checksums && digestOfTable(checksums).equals(chunk.digest)) yield { ...chunk, checksums };
  }
}

/** The chunks that stand where this file is cut, one for each place. Pure. */
function fitting(
  chunks: Iterable<WrittenChunk>,
  sizeBytes: number,
  chunkSizeBytes: number,
): Map<number, WrittenChunk> {
  const stored = new Map<number, WrittenChunk>();
  for (const chunk of chunks) {
    const { fileOffset, lengthBytes } = chunk;
    const fits =
      fileOffset % chunkSizeBytes === 0 && lengthBytes === Math.min(chunkSizeBytes, sizeBytes - fileOffset);
    if (fits && !stored.has(fileOffset)) stored.set(fileOffset, chunk);
  }
  return stored;
}

async function describe(context: ClientContext, uploadId: string, signal: AbortSignal) {
  const page = (token: string): Promise<UploadPage> =>
    asking(context, signal, () => context.tracker.getUpload(uploadId, token, { signal }));
  const first = await page('');
  const chunks = [...first.sealed];
  for (let token = first.nextPageToken; token !== '';) {
    const next = await page(token);
    chunks.push(...next.sealed);
    if (next.sealed.length === 0 || chunks.length > 2 * limits.maxExtentsPerCommit) {
      throw nonsense('GetUpload', 'the list of its chunks has no end');
    }
    token = next.nextPageToken;
  }
  return { first, chunks };
}

async function tell(
  context: ClientContext,
  uploadId: string,
  chunks: readonly SealedChunk[],
  signal: AbortSignal,
): Promise<void> {
  for (let at = 0; at < chunks.length; at += limits.maxSealedPerCall) {
    const sealed = chunks.slice(at, at + limits.maxSealedPerCall);
    const request = { uploadId, count: 0, excludeKeeperIds: [], sealed };
    await asking(context, signal, () => context.tracker.allocateChunks(request, { signal }));
  }
}

/** @throws HoldfastError ALREADY_EXISTS if something is at `path` */
export async function assertFree(context: ClientContext, path: string, signal: AbortSignal): Promise<void> {
  const found = await asking(context, signal, () => context.tracker.getEntry(path, { signal })).catch(
    (error: unknown) => {
      if (hasCode(error, 'NOT_FOUND')) return undefined;
      throw error;
    },
  );
  if (found) throw alreadyExists(path);
}

/** A commit that is written down first: whoever goes on with the upload asks in the same words. */
export async function commitResumable(
  context: ClientContext,
  { uploadId }: UploadSession,
  request: Omit<CommitUploadRequest, 'uploadId' | 'requestId'>,
  asked: Omit<AskedCommit, 'requestId'>,
  journal: UploadJournal,
  signal: AbortSignal,
): Promise<readonly (CommittedFile | HoldfastError)[]> {
  const [file] = request.files;
  const commit = async (requestId: string) => {
    await journal.committing({ ...asked, requestId });
    return commitOnce(context, { ...request, uploadId, requestId }, file?.path ?? '', signal);
  };
  const before = journal.left?.uploadId === uploadId ? journal.left.commit : undefined;
  const fresh = () => commit(newId(context.random));
  if (!before || !isSameAsk(before, asked)) return fresh();
  // One that was asked for in the same words may still be on its way.
  return commit(before.requestId).catch((error: unknown) => {
    // A refusal may be of then, and what was in the way be gone. It is remembered, so that one has no effect any more.
    if (hasCode(error, 'REQUEST_ID_REUSED', ...namespaceRefusals)) return fresh();
    throw error;
  });
}

function isSameAsk(a: AskedCommit, b: Omit<AskedCommit, 'requestId'>): boolean {
  return (
    a.expectedVersion === b.expectedVersion &&
    a.createParents === b.createParents &&
    a.attributes.mode === b.attributes.mode &&
    a.attributes.modifiedAtUnixMs === b.attributes.modifiedAtUnixMs
  );
}

/** The answer to a commit that was asked for before; undefined if nobody knows it any more. */
export async function commitAgain(
  context: ClientContext,
  request: CommitUploadRequest,
  path: string,
  signal: AbortSignal,
): Promise<CommittedFile | undefined> {
  try {
    const [committed] = await commitOnce(context, request, path, signal);
    return HoldfastError.is(committed) ? undefined : committed;
  } catch (error) {
    if (hasCode(error, 'UPLOAD_CLOSED', 'REQUEST_ID_REUSED', 'INVALID_ARGUMENT')) return undefined;
    throw error;
  }
}
