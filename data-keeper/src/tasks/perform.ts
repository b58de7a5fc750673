/** What each kind of task does. The tracker decides; here it is only carried out. */
import { type Clock, HoldfastError, type Receipt, hasCode } from '@holdfast/shared';
import type { PeerKeepers } from '../replication/peer-keepers.js';
import { type PieceVerifier, isBad } from '../scrub/piece-verifier.js';
import type { Scrubber } from '../scrub/scrubber.js';
import type { KeeperSettings } from '../settings.js';
import type { ChunkStore } from '../store/chunk-store.js';
import type { StoredPiece } from '../store/piece.js';
import type { FetchTask, KeeperTask, TaskResult } from '../tracker/tracker-link.js';
import type { ChunkWriter } from '../write/chunk-writer.js';
import { orStall } from '../write/stall.js';

export interface PerformDeps {
  readonly store: ChunkStore;
  readonly writer: ChunkWriter;
  readonly peers: PeerKeepers;
  readonly verifier: PieceVerifier;
  readonly scrubber: Pick<Scrubber, 'runTask'>;
  readonly clock: Clock;
  readonly settings: KeeperSettings;
  readonly receiptFor: (piece: StoredPiece) => Receipt;
  /** Called when pieces of these chunks are stored no more. */
  readonly onTrashed: (chunkIds: readonly string[]) => void;
}

/** @throws HoldfastError the task's outcome, for the tracker */
export async function perform(
  deps: PerformDeps,
  { taskId, action }: KeeperTask,
  signal: AbortSignal,
): Promise<TaskResult> {
  switch (action.kind) {
    case 'fetch':
      return fetchPiece(deps, action, signal);
    case 'trash':
      await deps.store.trash(action.chunkIds);
      deps.onTrashed(action.chunkIds);
      return { trashedChunkIds: action.chunkIds };
    case 'verify':
      await deps.verifier.verify(action, { digest: action.digest, signal });
      return {};
    case 'scrub':
      await deps.scrubber.runTask(taskId, signal);
      return {};
    case 'unknown':
      throw action.error;
  }
}

/** Fetches from the first source that has the right bytes. A piece that is there already and whole is done. */
async function fetchPiece(deps: PerformDeps, task: FetchTask, signal: AbortSignal): Promise<TaskResult> {
  const present = await presentPiece(deps, task, signal);
  if (present) return { receipt: deps.receiptFor(present) };
  let lastError: unknown = new HoldfastError('INVALID_ARGUMENT', 'the task names no source');
  for (const source of task.sources) {
    signal.throwIfAborted();
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const options = { deadlineMs: deps.settings.streamDeadlineMs, signal: abort.signal };
      const stream = await orStall(deps.peers.openReplica(source, task, task.readToken, options), {
        clock: deps.clock,
        stallMs: deps.settings.sourceStallMs,
        signal: abort.signal,
        what: `keeper ${source.address} sent nothing`,
      });
      const { chunkId, pieceIndex, lengthBytes, blockSizeBytes, digest } = task;
      const spec = { chunkId, pieceIndex, lengthBytes, blockSizeBytes, uploadId: stream.spec.uploadId };
      const { receipts } = await deps.writer.copy(
        { spec, followers: [], writeToken: Buffer.alloc(0) },
        () => Promise.resolve(stream),
        deps.settings.sourceStallMs,
        abort.signal,
        digest,
      );
      const [receipt] = receipts;
      return receipt ? { receipt } : {};
    } catch (error) {
      // A source that was silent for too long: that is also for the channel to it to know.
      abort.abort(error);
      // Another source cannot mend this storage.
      if (deps.store.failure || hasCode(error, 'OUT_OF_SPACE')) throw error;
      lastError = error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      abort.abort();
    }
  }
  throw lastError;
}

/** The piece that is asked for, if it is here and whole; one that is here and bad is out of the way then. */
async function presentPiece(
  { store, verifier }: PerformDeps,
  task: FetchTask,
  signal: AbortSignal,
): Promise<StoredPiece | undefined> {
  try {
    return (await verifier.verify(task, { digest: task.digest, signal })).piece;
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND', 'CHECKSUM_MISMATCH')) return undefined;
    if (!isBad(error)) throw error;
    // There is a good copy to take its place now.
    await store.quarantine(task);
    return undefined;
  }
}
