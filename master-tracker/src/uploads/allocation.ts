/**
 * Allocating chunks: an id that was never used before, keepers in a chain, and a durable row, so that whatever is
 * written under the id is known to be either committed or garbage, and never a stray.
 */
import { HoldfastError, type KeeperEndpoint, type Random, limits, newId } from '@holdfast/shared';
import type { TokenIssuer } from '../cluster/tokens.js';
import type { Membership } from '../membership/membership.js';
import { type PlacementResult, choosePlacement } from '../placement/placement.js';
import { batches } from '../store/batches.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { ChunkAllocation, UploadSession } from './upload.js';

/** Which keepers were chosen for a new chunk, in the order of the chain. */
export interface Placed {
  readonly chunkId: string;
  readonly keeperIds: readonly string[];
}

/** Twice the chunks that a commit can use: the rest is for retries, each of which takes a new chunk. */
const maxChunksPerUpload = 2 * limits.maxExtentsPerCommit;

const insertChunks = prepare((db, args: { uploadId: string; pieces: number; chunkIds: readonly string[] }) =>
  db.insertInto('chunks').values(
    args.chunkIds.map((chunkId) => ({
      chunk_id: chunkId,
      upload_id: args.uploadId,
      state: 'allocated' as const,
      length: null,
      digest: null,
      pieces: args.pieces,
      file_offset: 0,
      garbage_transaction_id: null,
    })),
  ),
);

type PlannedPiece = Readonly<{ chunkId: string; keeperId: string }>;

const insertPieces = prepare((db, args: { transactionId: number; planned: readonly PlannedPiece[] }) =>
  db.insertInto('pieces').values(
    args.planned.map(({ chunkId, keeperId }) => ({
      chunk_id: chunkId,
      keeper_id: keeperId,
      state: 'planned' as const,
      since_transaction_id: args.transactionId,
      claim: null,
      because: null,
      written_at_unix_ms: null,
    })),
  ),
);

export class Allocator {
  readonly #membership: Membership;
  readonly #random: Random;
  readonly #tokens: TokenIssuer;
  readonly #askForRoom: () => boolean;

  /** @param askForRoom told when there is no room for a chunk; true if some is on its way */
  constructor(membership: Membership, random: Random, tokens: TokenIssuer, askForRoom: () => boolean) {
    this.#membership = membership;
    this.#random = random;
    this.#tokens = tokens;
    this.#askForRoom = askForRoom;
  }

  /**
   * Chooses keepers for `count` new chunks and reserves their room until the keepers' next heartbeats.
   *
   * @throws HoldfastError NOT_ENOUGH_KEEPERS, OUT_OF_SPACE; UNAVAILABLE while it is not known whether there are enough
   */
  choose(
    session: Omit<UploadSession, 'uploadId'>,
    count: number,
    excludeKeeperIds: readonly string[],
  ): Placed[] {
    const { policy, chunkSizeBytes } = session;
    return Array.from({ length: count }, () => {
      const placement = choosePlacement({
        candidates: this.#membership.placementCandidates(),
        pieces: policy.pieces,
        minWrite: policy.minWrite,
        pieceBytes: chunkSizeBytes,
        excludeKeeperIds,
        random: () => this.#random.fraction(),
      });
      if (!placement.ok) {
        if (!this.#membership.knowsWhoIsThere()) throw keepersAwaited(placement);
        throw placement.reason === 'out-of-space'
          ? outOfSpace(placement, this.#askForRoom(), this.#membership.size)
          : notEnoughKeepers(placement, this.#membership.size);
      }
      for (const keeperId of placement.keeperIds) this.#membership.reserve(keeperId, chunkSizeBytes);
      return { chunkId: newId(this.#random), keeperIds: placement.keeperIds };
    });
  }

  /** Records chosen chunks of an open session; that it has them is the caller's to write. @throws HoldfastError LIMIT_EXCEEDED */
  async record(
    tx: MetadataTransaction,
    session: UploadSession,
    placed: readonly Placed[],
    allocatedBefore: number,
  ): Promise<void> {
    if (placed.length === 0) return;
    const allocated = allocatedBefore + placed.length;
    if (allocated > maxChunksPerUpload) {
      throw new HoldfastError('LIMIT_EXCEEDED', `an upload may allocate ${maxChunksPerUpload} chunks`);
    }
    const { uploadId, policy } = session;
    const chunkIds = placed.map(({ chunkId }) => chunkId);
    await tx.run(insertChunks, { uploadId, pieces: policy.pieces, chunkIds });
    const pieces = placed.flatMap(({ chunkId, keeperIds }) =>
      keeperIds.map((keeperId) => ({ chunkId, keeperId })),
    );
    const { transactionId } = tx;
    for (const planned of batches(pieces)) await tx.run(insertPieces, { transactionId, planned });
  }

  /** What the client is told: endpoints as they are now, and a fresh token. */
  describe(session: UploadSession, placed: readonly Placed[]): ChunkAllocation[] {
    return placed.map(({ chunkId, keeperIds }) => ({
      chunkId,
      keepers: keeperIds.flatMap((keeperId): KeeperEndpoint[] => {
        const keeper = this.#membership.get(keeperId);
        return keeper ? [{ keeperId, address: keeper.address, zone: keeper.zone }] : [];
      }),
      writeToken: this.#tokens.write(chunkId, session.uploadId, session.chunkSizeBytes),
    }));
  }
}

type Failure = Exclude<PlacementResult, { readonly ok: true }>;

const factsOf = ({ neededKeepers, candidateKeepers }: Failure, known: number) => ({
  needed_keepers: neededKeepers,
  live_keepers: candidateKeepers,
  known_keepers: known,
});

/** Keepers' heartbeats bring news of room every second. */
const askAgainAfterMs = 1_000;

/** All of them come back within some seconds. */
const keepersAwaitedMs = 500;

/** Retryable where room is on its way: whoever waits for it gets it. */
function outOfSpace(failure: Failure, isOnItsWay: boolean, known: number): HoldfastError {
  const { neededKeepers, candidateKeepers, keepersWithRoom } = failure;
  return new HoldfastError(
    'OUT_OF_SPACE',
    `${candidateKeepers - keepersWithRoom} of ${candidateKeepers} keepers are out of space; ` +
      `a chunk needs ${neededKeepers} with room`,
    {
      remedy: isOnItsWay
        ? 'Room of deleted files is on its way back: try again soon.'
        : 'Add a keeper or free space; nothing was lost.',
      ...(isOnItsWay && { retryable: true, retryAfterMs: askAgainAfterMs }),
      facts: factsOf(failure, known),
    },
  );
}

/** Right after the tracker's start: a client that asks again, as it does of a tracker that is away, finds them there. */
function keepersAwaited({ neededKeepers, candidateKeepers }: Failure): HoldfastError {
  return new HoldfastError(
    'UNAVAILABLE',
    `the tracker has just started and has heard of ${candidateKeepers} keepers that take new pieces; ` +
      `a chunk needs ${neededKeepers}`,
    { remedy: 'Try again: keepers come back by themselves.', retryAfterMs: keepersAwaitedMs },
  );
}

function notEnoughKeepers(failure: Failure, known: number): HoldfastError {
  const { neededKeepers, candidateKeepers } = failure;
  return new HoldfastError(
    'NOT_ENOUGH_KEEPERS',
    `${candidateKeepers} of ${known} known keepers take new pieces; a chunk needs ${neededKeepers}`,
    {
      remedy:
        'Start the keepers that are down, or ask for fewer copies (--min-write; in the library minWrite).',
      retryAfterMs: 1_000,
      facts: factsOf(failure, known),
    },
  );
}
