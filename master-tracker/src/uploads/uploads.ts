/**
 * Uploads: durable sessions that own chunks until their commit.
 *
 * The failure they answer: bytes that arrived and belong to nothing (a client that died), and files that are half
 * there. A chunk belongs to one session from its allocation on; the commit turns those it uses into a file, and all
 * others can be used by nothing from then on: they are given up (leftovers.ts).
 */
import { HoldfastError, type Random, newId } from '@holdfast/shared';
import type { TrackerIdentity } from '../cluster/identity.js';
import type { RegressionGuard } from '../cluster/regression.js';
import type { Membership } from '../membership/membership.js';
import type { TrashRules } from '../namespace/versions.js';
import { once } from '../requests/requests.js';
import type { MetadataSnapshot, MetadataStore, MetadataTransaction } from '../store/metadata-store.js';
import { type Row, prepare } from '../store/prepared.js';
import type { UploadsTable } from '../store/schema.js';
import type { Allocator, Placed } from './allocation.js';
import { checkFiles, commitFiles } from './commit.js';
import type { UploadLeases } from './leases.js';
import { giveUpLeftovers } from './leftovers.js';
import { recordSeals, verifySeals } from './sealing.js';
import { findTarget } from './target.js';
import type {
  BeginUpload,
  ChunkAllocation,
  CommitOptions,
  CommittedFile,
  FileVersion,
  SealedChunk,
  UploadDescription,
  UploadSession,
} from './upload.js';

export interface UploadsParts {
  readonly store: MetadataStore;
  readonly random: Random;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly identity: TrackerIdentity;
  readonly allocator: Allocator;
  readonly leases: UploadLeases;
  readonly rules: TrashRules;
}

export class Uploads {
  readonly #parts: UploadsParts;

  constructor(parts: UploadsParts) {
    this.#parts = parts;
  }

  /**
   * Opens a session, with its first allocations.
   *
   * @throws HoldfastError ALREADY_EXISTS, IS_A_DIRECTORY, NOT_FOUND, NOT_A_DIRECTORY, VERSION_CONFLICT,
   *   NOT_ENOUGH_KEEPERS, OUT_OF_SPACE, LIMIT_EXCEEDED
   */
  async begin(asked: BeginUpload): Promise<{ session: UploadSession; allocations: ChunkAllocation[] }> {
    const { store, random, guard, allocator, leases } = this.#parts;
    guard.assertWritable();
    leases.assertRoom();
    const { requestId, names, ...rest } = asked;
    const { policy, chunkSizeBytes } = asked;
    const leaseMs = leases.grant(asked.leaseMs ?? 0);
    const key = { requestId, asked: ['BeginUpload', names ?? null, rest] };
    let madeId: string | undefined;
    const answer = await once(store, key, async (tx) => {
      if (names) await findTarget(tx, { ...asked, names });
      // Chosen only now, so that asking again with the same request_id reserves nothing.
      const placed = allocator.choose(
        { policy, chunkSizeBytes },
        asked.allocateCount,
        asked.excludeKeeperIds,
      );
      const uploadId = newId(random);
      const session = { uploadId, policy, chunkSizeBytes };
      await openSession(tx, session, placed.length, leaseMs);
      await allocator.record(tx, session, placed, 0);
      madeId = uploadId;
      return { uploadId, placed };
    });
    const session = { uploadId: answer.uploadId, policy, chunkSizeBytes };
    if (answer.uploadId === madeId) leases.renew(session.uploadId, leaseMs);
    else await this.#renewIfOpen(session.uploadId);
    return { session, allocations: allocator.describe(session, answer.placed) };
  }

  /** A remembered answer may be of a session that is over: its lease must not come back. */
  async #renewIfOpen(uploadId: string): Promise<void> {
    const row = await this.#parts.store.read((snapshot) => findUpload(snapshot, uploadId));
    if (row?.state === 'open') this.#parts.leases.renew(uploadId, row.lease_ms ?? undefined);
  }

  /**
   * Allocates chunks, records sealed ones, renews the lease, for at least `askedLeaseMs` if that may be had.
   *
   * @throws HoldfastError UPLOAD_CLOSED, NOT_ENOUGH_KEEPERS, OUT_OF_SPACE, INVALID_ARGUMENT, LIMIT_EXCEEDED
   */
  async allocate(
    uploadId: string,
    count: number,
    excludeKeeperIds: readonly string[],
    sealed: readonly SealedChunk[],
    askedLeaseMs = 0,
  ): Promise<ChunkAllocation[]> {
    const { store, guard, membership, identity, allocator, leases, rules } = this.#parts;
    guard.assertWritable();
    const longerMs = leases.grant(askedLeaseMs, leases.leaseMs(uploadId));
    if (count === 0 && sealed.length === 0 && longerMs === undefined) {
      await store.read((snapshot) => openUpload(snapshot, uploadId));
      leases.renew(uploadId);
      return [];
    }
    const seals = verifySeals(sealed, membership, identity);
    const result = await store.mutate(async (tx): Promise<{ session: UploadSession; placed: Placed[] }> => {
      const row = await openUpload(tx, uploadId);
      const session = toSession(row);
      await recordSeals(tx, session, seals, rules.clock.wallMs());
      const placed = allocator.choose(session, count, excludeKeeperIds);
      await allocator.record(tx, session, placed, row.allocated);
      if (placed.length > 0) await change(tx, uploadId, { allocated: row.allocated + placed.length });
      if (longerMs !== undefined) await change(tx, uploadId, { lease_ms: longerMs });
      return { session, placed };
    });
    leases.renew(uploadId, longerMs);
    return allocator.describe(result.session, result.placed);
  }

  /**
   * Makes the files visible, all of them or none; with `skipRefused` all that can be shown at their paths.
   *
   * @throws HoldfastError UPLOAD_CLOSED, INVALID_ARGUMENT, VERSION_CONFLICT, ALREADY_EXISTS, NOT_FOUND,
   *   NOT_A_DIRECTORY, IS_A_DIRECTORY
   */
  async commit(
    uploadId: string,
    requestId: string,
    files: readonly FileVersion[],
    sealed: readonly SealedChunk[],
    { skipRefused = false }: CommitOptions = {},
  ): Promise<CommittedFile[]> {
    const { store, guard, membership, identity, leases, rules } = this.#parts;
    guard.assertWritable();
    checkFiles(files);
    const seals = verifySeals(sealed, membership, identity);
    // Not the receipts: asking again with more of them is the same request.
    // What is not asked for is not in it: whoever asks again after an upgrade is known by what the version before wrote.
    const asked = ['CommitUpload', uploadId, files, ...(skipRefused ? ['skip_refused'] : [])];
    const key = { requestId, asked };
    const committed = await once(store, key, async (tx) => {
      const row = await openUpload(tx, uploadId);
      const session = toSession(row);
      await recordSeals(tx, session, seals, rules.clock.wallMs());
      return commitFiles(tx, { ...session, allocated: row.allocated }, files, rules, { skipRefused });
    });
    leases.drop(uploadId);
    return committed;
  }

  /** Ends a session and gives its chunks up. @throws HoldfastError UPLOAD_CLOSED if it was committed */
  async abort(uploadId: string): Promise<void> {
    const { store, guard, leases } = this.#parts;
    guard.assertWritable();
    await store.mutate(async (tx) => {
      const row = await findUpload(tx, uploadId);
      if (row?.state === 'committed') throw closed(uploadId, 'committed');
      if (row?.state === 'open') await abortSession(tx, uploadId);
    });
    leases.drop(uploadId);
  }

  /** How long a session lives when nothing of it is heard, in milliseconds. */
  leaseMs(uploadId: string): number {
    return this.#parts.leases.leaseMs(uploadId);
  }

  /**
   * Describes a session and the chunks that need not be written again, which are fewer than its commit may use: a keeper
   * that died since may have taken the only copies along. Renews its lease if it is open.
   *
   * @throws HoldfastError NOT_FOUND
   */
  async get(uploadId: string, pageSize: number, afterChunkId: string): Promise<UploadDescription> {
    const description = await this.#parts.store.read(async (snapshot): Promise<UploadDescription> => {
      const row = await findUpload(snapshot, uploadId);
      if (!row) throw noUpload(uploadId);
      const chunks = await snapshot.db
        .selectFrom('chunks')
        .select(['chunk_id', 'length', 'digest', 'file_offset'])
        .where('upload_id', '=', uploadId)
        // What a session that is over did not commit is no part of anything.
        .where('state', '=', row.state === 'open' ? 'sealed' : 'live')
        .where('chunk_id', '>', afterChunkId)
        .$if(row.state === 'open', (query) =>
          query.where((eb) =>
            eb(
              eb
                .selectFrom('pieces')
                .innerJoin('keepers', 'keepers.keeper_id', 'pieces.keeper_id')
                .select(({ fn }) => fn.countAll<number>().as('counted'))
                .whereRef('pieces.chunk_id', '=', 'chunks.chunk_id')
                .where('pieces.state', '=', 'durable')
                // On a storage that was replaced there is nothing.
                .where('keepers.dead', '=', 0)
                .where('keepers.replaced', '=', 0),
              '>=',
              row.min_write,
            ),
          ),
        )
        .orderBy('chunk_id')
        .limit(pageSize + 1)
        .execute();
      const page = chunks.slice(0, pageSize);
      return {
        ...toSession(row),
        state: row.state,
        sealed: page.map((chunk) => ({
          chunkId: chunk.chunk_id,
          lengthBytes: chunk.length ?? 0,
          digest: chunk.digest ?? '',
          fileOffset: chunk.file_offset,
        })),
        nextAfterChunkId: chunks.length > pageSize ? page.at(-1)?.chunk_id : undefined,
      };
    });
    if (description.state === 'open') this.#parts.leases.renew(uploadId);
    return description;
  }

  /** Aborts up to `limit` sessions whose lease is over; returns how many. */
  async expire(limit: number): Promise<number> {
    const { store, guard, leases } = this.#parts;
    const expired = guard.regressed ? [] : leases.expired(limit);
    if (expired.length === 0) return 0;
    const aborted = await store.mutate(async (tx) => {
      // Looked at again: a call may have renewed one while this waited for its turn.
      const still = new Set(leases.expired(limit));
      const ended = expired.filter((uploadId) => still.has(uploadId));
      for (const uploadId of ended) {
        if ((await findUpload(tx, uploadId))?.state === 'open') await abortSession(tx, uploadId);
      }
      return ended;
    });
    for (const uploadId of aborted) leases.drop(uploadId);
    return aborted.length;
  }
}

const insertUpload = prepare((db, row: Row<UploadsTable>) => db.insertInto('uploads').values(row));

const selectUpload = prepare((db, { uploadId }: { uploadId: string }) =>
  db.selectFrom('uploads').selectAll().where('upload_id', '=', uploadId),
);

async function openSession(
  tx: MetadataTransaction,
  session: UploadSession,
  allocated: number,
  leaseMs: number | undefined,
): Promise<void> {
  await tx.run(insertUpload, {
    upload_id: session.uploadId,
    state: 'open',
    pieces: session.policy.pieces,
    min_write: session.policy.minWrite,
    chunk_size_bytes: session.chunkSizeBytes,
    allocated,
    closed_transaction_id: null,
    given_up_through: null,
    lease_ms: leaseMs ?? null,
  });
  tx.count('open_uploads', 1);
}

async function change(
  tx: MetadataTransaction,
  uploadId: string,
  changed: Partial<UploadsTable>,
): Promise<void> {
  await tx.db.updateTable('uploads').set(changed).where('upload_id', '=', uploadId).execute();
}

async function abortSession(tx: MetadataTransaction, uploadId: string): Promise<void> {
  await giveUpLeftovers(tx, uploadId);
  await change(tx, uploadId, { state: 'aborted', closed_transaction_id: tx.transactionId });
  tx.count('open_uploads', -1);
}

async function findUpload(snapshot: MetadataSnapshot, uploadId: string): Promise<UploadsTable | undefined> {
  const [row] = await snapshot.run(selectUpload, { uploadId });
  return row;
}

async function openUpload(snapshot: MetadataSnapshot, uploadId: string): Promise<UploadsTable> {
  const row = await findUpload(snapshot, uploadId);
  if (row?.state === 'open') return row;
  throw closed(uploadId, row?.state ?? 'not known any more');
}

function toSession(row: UploadsTable): UploadSession {
  return {
    uploadId: row.upload_id,
    policy: { scheme: 'replicas', pieces: row.pieces, needed: 1, minWrite: row.min_write },
    chunkSizeBytes: row.chunk_size_bytes,
  };
}

function noUpload(uploadId: string): HoldfastError {
  return new HoldfastError('NOT_FOUND', `there is no upload ${uploadId}`, {
    remedy: 'Begin a new upload; sessions end when nothing of them is heard for their lease.',
  });
}

function closed(uploadId: string, how: string): HoldfastError {
  return new HoldfastError('UPLOAD_CLOSED', `upload ${uploadId} is ${how}`, {
    remedy: 'Begin a new upload; sessions end when nothing of them is heard for their lease.',
    facts: { upload_id: uploadId, state: how },
  });
}
