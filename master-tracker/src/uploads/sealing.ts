/**
 * Sealing: from then on a chunk's length and digest are known and never change (S4), and the pieces whose keepers
 * signed for exactly these bytes are durable.
 *
 * A receipt that does not fit (forged, of another storage, for other bytes) counts for nothing and fails nothing:
 * what counts is how many good ones there are when the chunk is committed.
 */
import { HoldfastError } from '@holdfast/shared';
import type { TrackerIdentity } from '../cluster/identity.js';
import type { Membership } from '../membership/membership.js';
import { claimOf, currentStorages, recordDurable } from '../registry/pieces.js';
import { reasons } from '../registry/reasons.js';
import { receiptFits } from '../registry/receipts.js';
import { batches } from '../store/batches.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { SealedChunk, UploadSession } from './upload.js';

/** A sealed chunk with the storages that are known to have it, by their keepers. */
export interface VerifiedSeal extends Omit<SealedChunk, 'receipts'> {
  readonly storages: ReadonlyMap<string, string>;
}

type SealRow = Readonly<{ chunkId: string; lengthBytes: number; digest: string; fileOffset: number }>;

// Every row is there: the insert is a way to update many with one statement.
const updateSealed = prepare((db, args: { uploadId: string; pieces: number; seals: readonly SealRow[] }) =>
  db
    .insertInto('chunks')
    .values(
      args.seals.map((seal) => ({
        chunk_id: seal.chunkId,
        upload_id: args.uploadId,
        state: 'sealed' as const,
        length: seal.lengthBytes,
        digest: seal.digest,
        pieces: args.pieces,
        file_offset: seal.fileOffset,
        garbage_transaction_id: null,
      })),
    )
    .onConflict((conflict) =>
      conflict.column('chunk_id').doUpdateSet((eb) => ({
        state: eb.ref('excluded.state'),
        length: eb.ref('excluded.length'),
        digest: eb.ref('excluded.digest'),
        file_offset: eb.ref('excluded.file_offset'),
      })),
    ),
);

const chunksById = prepare((db, { chunkIds }: { chunkIds: readonly string[] }) =>
  db
    .selectFrom('chunks')
    .select(['chunk_id', 'upload_id', 'state', 'length', 'digest'])
    .where('chunk_id', 'in', chunkIds),
);

const plannedOf = prepare((db, { chunkIds }: { chunkIds: readonly string[] }) =>
  db
    .selectFrom('pieces')
    .select(['chunk_id', 'keeper_id', 'claim'])
    .where('state', '=', 'planned')
    .where('chunk_id', 'in', chunkIds),
);

/** Checks the receipts, outside of any transaction: an HMAC each. */
export function verifySeals(
  sealed: readonly SealedChunk[],
  membership: Membership,
  identity: TrackerIdentity,
): VerifiedSeal[] {
  return sealed.map(({ receipts, ...chunk }) => {
    const good = receipts.filter((receipt) => receiptFits(receipt, chunk, membership, identity));
    return { ...chunk, storages: new Map(good.map((receipt) => [receipt.keeperId, receipt.storageId])) };
  });
}

/**
 * Records seals in an open session, told now by the tracker's wall clock. Idempotent.
 *
 * @throws HoldfastError INVALID_ARGUMENT for a chunk that is not the session's, is too long, or was sealed with
 *   other bytes
 */
export async function recordSeals(
  tx: MetadataTransaction,
  session: UploadSession,
  seals: readonly VerifiedSeal[],
  nowUnixMs: number,
): Promise<void> {
  if (new Set(seals.map((seal) => seal.chunkId)).size < seals.length) {
    throw new HoldfastError('INVALID_ARGUMENT', 'sealed names a chunk twice');
  }
  // A keeper may have come back with another storage since the receipts were checked.
  const current = await currentStorages(tx, [
    ...new Set(seals.flatMap(({ storages }) => [...storages.keys()])),
  ]);
  for (const page of batches(seals)) {
    const sealedBefore = await checkSeals(tx, session, page);
    const { uploadId, policy } = session;
    const rows = page.map(({ storages: _, ...seal }) => seal);
    await tx.run(updateSealed, { uploadId, pieces: policy.pieces, seals: rows });
    await recordWritten(tx, page, sealedBefore, current, nowUnixMs);
  }
}

/**
 * The pieces that the seals prove are durable from now on: by the receipt of the storage that is its keeper's now, or
 * because it reported them before the seal, with these very bytes. A piece of a chunk that was sealed before and is
 * planned no more was found lost: an old receipt that is told again does not bring it back.
 */
async function recordWritten(
  tx: MetadataTransaction,
  seals: readonly VerifiedSeal[],
  sealedBefore: ReadonlySet<string>,
  current: ReadonlyMap<string, string>,
  nowUnixMs: number,
): Promise<void> {
  /** What its keepers said of each chunk, if anything. */
  const planned = new Map<string, Map<string, string | null>>();
  for (const row of await tx.run(plannedOf, { chunkIds: seals.map(({ chunkId }) => chunkId) })) {
    const keepers = planned.get(row.chunk_id) ?? new Map<string, string | null>();
    planned.set(row.chunk_id, keepers.set(row.keeper_id, row.claim));
  }
  const written = seals.flatMap(({ chunkId, lengthBytes, digest, storages }) => {
    const claims = planned.get(chunkId) ?? new Map<string, string | null>();
    const signed = [...storages]
      .filter(([keeperId, storageId]) => current.get(keeperId) === storageId)
      .map(([keeperId]) => keeperId)
      .filter((keeperId) => !sealedBefore.has(chunkId) || claims.has(keeperId));
    const reported = [...claims.keys()].filter((each) => claims.get(each) === claimOf(lengthBytes, digest));
    return [...new Set([...signed, ...reported])].map((keeperId) => ({ chunkId, keeperId }));
  });
  await recordDurable(
    tx,
    written.map((piece) => ({ ...piece, because: reasons.upload, writtenAtUnixMs: nowUnixMs })),
  );
}

/** Resolves to those that were sealed before. @throws as recordSeals */
async function checkSeals(
  tx: MetadataTransaction,
  session: UploadSession,
  seals: readonly VerifiedSeal[],
): Promise<ReadonlySet<string>> {
  const rows = await tx.run(chunksById, { chunkIds: seals.map((seal) => seal.chunkId) });
  const known = new Map(rows.map((row) => [row.chunk_id, row]));
  for (const seal of seals) {
    const row = known.get(seal.chunkId);
    const refuse = (why: string): HoldfastError =>
      new HoldfastError('INVALID_ARGUMENT', `sealed chunk ${seal.chunkId} ${why}`);
    if (row?.upload_id !== session.uploadId || !['allocated', 'sealed'].includes(row.state)) {
      throw refuse('does not belong to the session');
    }
    if (seal.lengthBytes > session.chunkSizeBytes) {
      throw refuse(`has ${seal.lengthBytes} bytes, more than the session's chunk_size_bytes`);
    }
    if (row.state === 'sealed' && (row.length !== seal.lengthBytes || row.digest !== seal.digest)) {
      throw refuse('was sealed with other bytes: a chunk id means the same bytes for ever');
    }
  }
  return new Set(rows.filter(({ state }) => state === 'sealed').map((row) => row.chunk_id));
}
