/**
 * The commit: the one moment in which an upload becomes visible. Everything is checked first, inside the same
 * transaction that makes it so; a refused commit changes nothing and leaves the session open.
 */
import { HoldfastError, limits } from '@holdfast/shared';
import { isADirectory, makeParents, pathOf } from '../namespace/resolve.js';
import { type Showing, type TrashRules, showVersion } from '../namespace/versions.js';
import { countLive, queueForRepair } from '../registry/pieces.js';
import { reasons } from '../registry/reasons.js';
import { batches } from '../store/batches.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import { type Row, prepare } from '../store/prepared.js';
import type { ExtentsTable, VersionsTable } from '../store/schema.js';
import { type Beginning, checkTakenOver, takeOver } from './append.js';
import { giveUpLeftovers } from './leftovers.js';
import { type KnownParents, type Target, findTarget } from './target.js';
import type { CommitOptions, CommittedFile, FileVersion, RefusedFile, UploadSession } from './upload.js';

/** An open session, and how many chunks it was given in all. */
interface CommittingSession extends UploadSession {
  readonly allocated: number;
}

/** A chunk of the session that may be used. */
interface UsableChunk {
  readonly lengthBytes: number;
  /** Its pieces that are on stable storage, wherever. */
  readonly durable: number;
  /** Those of them that count now: their keepers are not dead. */
  readonly counted: number;
  /** Those of them that are on keepers that are being emptied since the chunk was allocated. */
  readonly leaving: number;
}

function refuse(path: string, why: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', `${path}: ${why}`, { facts: { path } });
}

/**
 * Checks what can be checked without the metadata: contiguous extents whose lengths add up, distinct paths.
 *
 * @throws HoldfastError INVALID_ARGUMENT, IS_A_DIRECTORY, LIMIT_EXCEEDED
 */
export function checkFiles(files: readonly FileVersion[]): void {
  const depths = files.reduce((sum, file) => sum + file.names.length, 0);
  if (depths > limits.maxNamesPerCommit) {
    throw new HoldfastError(
      'LIMIT_EXCEEDED',
      `paths: at most ${limits.maxNamesPerCommit} components in one commit, not ${depths}`,
      { remedy: 'Commit the files in several uploads.' },
    );
  }
  const paths = new Set<string>();
  for (const file of files) {
    const path = pathOf(file.names);
    if (file.names.length === 0) throw isADirectory(path);
    if (paths.has(path)) throw refuse(path, 'the commit names it twice');
    paths.add(path);
    const sumBytes = file.extents.reduce((sum, extent) => sum + extent.lengthBytes, 0);
    if (sumBytes !== file.sizeBytes) {
      throw refuse(path, `its extents have ${sumBytes} bytes, its size_bytes says ${file.sizeBytes}`);
    }
  }
}

/** Of a file that was refused. */
const nothing = { chunks: 0, fewestPieces: 0, policyPieces: 0, chunksBelowPolicy: 0 };

/**
 * Makes files of a commit visible and closes the session: all of them, or with `skipRefused` those that can be shown.
 * Runs after the seals were recorded.
 */
export async function commitFiles(
  tx: MetadataTransaction,
  session: CommittingSession,
  files: readonly FileVersion[],
  rules: TrashRules,
  { skipRefused = false }: CommitOptions,
): Promise<CommittedFile[]> {
  const chunks = await usableChunks(tx, session, chunksOf(files));
  checkExtents(files, chunks);
  checkDurable(session, chunks);
  await checkTakenOver(tx, files);
  const committed: CommittedFile[] = [];
  const shown: FileVersion[] = [];
  const known: KnownParents = new Map();
  for (const file of files) {
    const target = await targetOf(tx, file, known, skipRefused);
    if ('refused' in target) {
      committed.push({ version: 0, sizeBytes: 0, durability: nothing, ...target });
      continue;
    }
    const version = tx.count('last_version', 1);
    const parentId = await makeParents(tx, file.names, target.parent, rules.clock.wallMs());
    known.set(pathOf(file.names.slice(0, -1)), parentId);
    const sizeBytes = await commitFile(tx, session, file, { parentId, shown: target.shown, version }, rules);
    committed.push({ version, sizeBytes, durability: durabilityIn(session, file, chunks) });
    shown.push(file);
  }
  await closeSession(tx, session, chunksOf(shown), chunks);
  return committed;
}

function chunksOf(files: readonly FileVersion[]): string[] {
  const chunkIds = new Set<string>();
  for (const { extents } of files) for (const { chunkId } of extents) chunkIds.add(chunkId);
  return [...chunkIds];
}

/** Where a file goes; nothing has changed for it when it is refused. */
async function targetOf(
  tx: MetadataTransaction,
  file: FileVersion,
  known: KnownParents,
  skipRefused: boolean,
): Promise<Target | { readonly refused: RefusedFile }> {
  try {
    return await findTarget(tx, file, known);
  } catch (error) {
    if (!skipRefused || !HoldfastError.is(error)) throw error;
    const { code, message, remedy, facts } = error;
    return { refused: { code, message, remedy, facts } };
  }
}

const sealedChunks = prepare((db, args: { uploadId: string; chunkIds: readonly string[] }) =>
  db
    .selectFrom('chunks')
    .leftJoin('pieces', (join) =>
      join.onRef('pieces.chunk_id', '=', 'chunks.chunk_id').on('pieces.state', '=', 'durable'),
    )
    // On a storage that was replaced there is nothing, dead or not.
    .leftJoin('keepers', (join) =>
      join.onRef('keepers.keeper_id', '=', 'pieces.keeper_id').on('keepers.replaced', '=', 0),
    )
    .select(({ fn }) => [
      'chunks.chunk_id',
      'length',
      fn.count<number>('keepers.keeper_id').as('durable'),
      fn.count<number>('keepers.keeper_id').filterWhere('keepers.dead', '=', 0).as('counted'),
      fn.count<number>('keepers.keeper_id').filterWhere('keepers.draining', '=', 1).as('leaving'),
    ])
    .where('chunks.chunk_id', 'in', args.chunkIds)
    .where('upload_id', '=', args.uploadId)
    .where('chunks.state', '=', 'sealed')
    .groupBy(['chunks.chunk_id', 'length']),
);

async function usableChunks(
  tx: MetadataTransaction,
  session: UploadSession,
  chunkIds: readonly string[],
): Promise<Map<string, UsableChunk>> {
  const usable = new Map<string, UsableChunk>();
  for (const page of batches(chunkIds)) {
    const rows = await tx.run(sealedChunks, { uploadId: session.uploadId, chunkIds: page });
    for (const { chunk_id, length, durable, counted, leaving } of rows) {
      usable.set(chunk_id, { lengthBytes: length ?? 0, durable, counted, leaving });
    }
  }
  return usable;
}

function checkExtents(files: readonly FileVersion[], chunks: ReadonlyMap<string, UsableChunk>): void {
  for (const file of files) {
    for (const { chunkId, chunkOffset, lengthBytes } of file.extents) {
      const chunk = chunks.get(chunkId);
      if (!chunk) throw refuse(pathOf(file.names), `chunk ${chunkId} is not a sealed chunk of the session`);
      if (chunkOffset + lengthBytes > chunk.lengthBytes) {
        throw refuse(pathOf(file.names), `an extent reaches past the end of chunk ${chunkId}`);
      }
    }
  }
}

function checkDurable(session: UploadSession, chunks: ReadonlyMap<string, UsableChunk>): void {
  const { minWrite } = session.policy;
  for (const [chunkId, { durable }] of chunks) {
    if (durable >= minWrite) continue;
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `chunk ${chunkId} has ${durable} valid receipts, the policy asks for ${minWrite} before a commit`,
      {
        remedy: 'Write its bytes again as a new chunk of the session.',
        facts: { chunk_id: chunkId, pieces: durable },
      },
    );
  }
}

const insertVersion = prepare((db, row: Row<VersionsTable>) => db.insertInto('versions').values(row));

const insertExtentRows = prepare((db, { rows }: { rows: readonly Row<ExtentsTable>[] }) =>
  db.insertInto('extents').values(rows),
);

/** Shows the file; its length in bytes. */
async function commitFile(
  tx: MetadataTransaction,
  session: UploadSession,
  file: FileVersion,
  { parentId, shown, version }: Pick<Showing, 'parentId' | 'shown' | 'version'>,
  rules: TrashRules,
): Promise<number> {
  const { names, attributes, contentDigest = null, appendToVersion } = file;
  const nowUnixMs = rules.clock.wallMs();
  const path = pathOf(names);
  const name = names.at(-1) ?? '';
  const before: Beginning =
    appendToVersion === undefined
      ? { sizeBytes: 0, mode: null }
      : await takeOver(tx, session, { from: appendToVersion, to: version, path });
  const sizeBytes = before.sizeBytes + file.sizeBytes;
  if (!Number.isSafeInteger(sizeBytes)) throw refuse(path, 'it would be too long');
  await tx.run(insertVersion, {
    version,
    size_bytes: sizeBytes,
    pieces: session.policy.pieces,
    min_write: session.policy.minWrite,
    mode: attributes.mode ?? before.mode,
    modified_at_unix_ms: attributes.modifiedAtUnixMs ?? null,
    content_digest: contentDigest,
    created_at_unix_ms: nowUnixMs,
    retired_transaction_id: null,
  });
  await insertExtents(tx, file, version, before.sizeBytes);
  await showVersion(tx, { version, sizeBytes, parentId, path, name, shown }, rules);
  return sizeBytes;
}

async function insertExtents(
  tx: MetadataTransaction,
  file: FileVersion,
  version: number,
  startBytes: number,
): Promise<void> {
  let fileOffset = startBytes;
  const rows = file.extents.map(({ chunkId, chunkOffset, lengthBytes }) => {
    const row = {
      version,
      file_offset: fileOffset,
      length: lengthBytes,
      chunk_id: chunkId,
      chunk_offset: chunkOffset,
    };
    fileOffset += lengthBytes;
    return row;
  });
  for (const page of batches(rows)) await tx.run(insertExtentRows, { rows: page });
}

function durabilityIn(
  session: UploadSession,
  file: FileVersion,
  chunks: ReadonlyMap<string, UsableChunk>,
): CommittedFile['durability'] {
  const policyPieces = session.policy.pieces;
  const counts = [...new Set(file.extents.map((extent) => extent.chunkId))].map(
    (chunkId) => chunks.get(chunkId)?.counted ?? 0,
  );
  return {
    chunks: counts.length,
    fewestPieces: counts.reduce((fewest, pieces) => Math.min(fewest, pieces), counts[0] ?? 0),
    policyPieces,
    chunksBelowPolicy: counts.filter((pieces) => pieces < policyPieces).length,
  };
}

const makeLive = prepare((db, { chunkIds }: { chunkIds: readonly string[] }) =>
  db.updateTable('chunks').set({ state: 'live' }).where('chunk_id', 'in', chunkIds),
);

// A keeper that was to take a piece and finishes late says so itself.
const forgetPlanned = prepare((db, { chunkIds }: { chunkIds: readonly string[] }) =>
  db.deleteFrom('pieces').where('chunk_id', 'in', chunkIds).where('state', '=', 'planned'),
);

const closeUpload = prepare((db, args: { uploadId: string; transactionId: number }) =>
  db
    .updateTable('uploads')
    .set({ state: 'committed', closed_transaction_id: args.transactionId })
    .where('upload_id', '=', args.uploadId),
);

/** What was used is live, what was not is garbage, and what is off its policy is repaired. */
async function closeSession(
  tx: MetadataTransaction,
  session: CommittingSession,
  used: readonly string[],
  chunks: ReadonlyMap<string, UsableChunk>,
): Promise<void> {
  for (const page of batches(used)) {
    await tx.run(makeLive, { chunkIds: page });
    await tx.run(forgetPlanned, { chunkIds: page });
  }
  tx.count('chunks', used.length);
  await countLive(tx, session.policy.pieces, used.length);
  const offPolicy = used.filter((chunkId) => {
    const { counted = 0, leaving = 0 } = chunks.get(chunkId) ?? {};
    return counted !== session.policy.pieces || leaving > 0;
  });
  await queueForRepair(tx, offPolicy, reasons.short);
  const { uploadId } = session;
  if (session.allocated > used.length) await giveUpLeftovers(tx, uploadId);
  await tx.run(closeUpload, { uploadId, transactionId: tx.transactionId });
  tx.count('open_uploads', -1);
}
