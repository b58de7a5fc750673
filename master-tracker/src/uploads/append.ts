/**
 * Appending: the extents of the version that a path shows come first in its next one. Rows are written, no byte moves,
 * and the chunks serve both versions for as long as either is there.
 */
import { HoldfastError, limits } from '@holdfast/shared';
import { pathOf } from '../namespace/resolve.js';
import { copyExtents } from '../namespace/versions.js';
import type { MetadataTransaction } from '../store/metadata-store.js';
import { prepare } from '../store/prepared.js';
import type { FileVersion, UploadSession } from './upload.js';

/** What a version goes on from. */
export interface Beginning {
  readonly sizeBytes: number;
  readonly mode: number | null;
}

const countExtents = prepare((db, { version }: { version: number }) =>
  db
    .selectFrom('extents')
    .select(({ fn }) => fn.countAll<number>().as('extents'))
    .where('version', '=', version),
);

/**
 * Checks that the rows to be written are not too many: those that are taken over cost as much as those that are new.
 *
 * @throws HoldfastError LIMIT_EXCEEDED
 */
export async function checkTakenOver(tx: MetadataTransaction, files: readonly FileVersion[]): Promise<void> {
  let all = files.reduce((sum, file) => sum + file.extents.length, 0);
  for (const { names, appendToVersion } of files) {
    if (appendToVersion === undefined) continue;
    const [{ extents } = { extents: 0 }] = await tx.run(countExtents, { version: appendToVersion });
    if (extents > limits.maxExtentsToAppendTo) throw tooManyExtents(pathOf(names), extents);
    all += extents;
    if (all > limits.maxExtentsPerCommit) {
      throw new HoldfastError(
        'LIMIT_EXCEEDED',
        `extents: at most ${limits.maxExtentsPerCommit} in one commit, with those of the files that are appended to`,
        { remedy: 'Append less at a time, or commit the files in several uploads.' },
      );
    }
  }
}

function tooManyExtents(path: string, extents: number): HoldfastError {
  return new HoldfastError(
    'LIMIT_EXCEEDED',
    `${path} has ${extents} extents; it can be appended to with at most ${limits.maxExtentsToAppendTo}`,
    {
      remedy:
        'Each append adds one at least: upload the file anew in one piece, and append more at a time or to a new file.',
      facts: { path, extents },
    },
  );
}

const selectBeginning = prepare((db, { version }: { version: number }) =>
  db.selectFrom('versions').select(['size_bytes', 'mode', 'pieces']).where('version', '=', version),
);

/**
 * Gives the version `to` the extents of `from`, which the path shows.
 *
 * @throws HoldfastError INVALID_ARGUMENT for a session that stores another number of copies
 */
export async function takeOver(
  tx: MetadataTransaction,
  { policy }: UploadSession,
  { from, to, path }: { readonly from: number; readonly to: number; readonly path: string },
): Promise<Beginning> {
  const [row] = await tx.run(selectBeginning, { version: from });
  if (!row) throw new Error(`version ${from} is shown and has no row`);
  if (row.pieces !== policy.pieces) {
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `${path} has ${row.pieces} copies, the upload makes ${policy.pieces}: a file has one policy`,
      { remedy: 'Begin the upload with the policy of the entry.', facts: { path } },
    );
  }
  await copyExtents(tx, from, to);
  return { sizeBytes: row.size_bytes, mode: row.mode };
}
