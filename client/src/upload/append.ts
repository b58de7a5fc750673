/**
 * Appends what a source gives to a file: as an upload whose commit names the version that comes first. The old bytes
 * stay where they are.
 *
 * Two that append to one file do not disturb each other: whoever commits second goes on from what the first one made,
 * and each one's bytes are there in one run.
 */
import { HoldfastError, type RetryPolicy, hasCode, withRetry } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import { stat } from '../namespace/namespace.js';
import type { Entry } from '../ports/tracker-api.js';
import type { ChunkSource } from './chunk-source.js';
import { type Place, type Placing, type UploadOptions, type UploadResult, upload } from './upload.js';

export interface AppendOptions extends Pick<
  UploadOptions,
  | ('concurrency' | 'chunkSizeBytes' | 'expectedVersion' | 'createParents' | 'attributes')
  | ('onProgress' | 'onWaiting' | 'signal')
> {
  /** Whether a file that is missing is made. Default true, as fs.appendFile does. */
  readonly create?: boolean;
}

/** Half a second each for sixty others that append to the same file; beyond it somebody replaces it all the time. */
const conflictRetry: RetryPolicy = {
  initialBackoffMs: 10,
  maxBackoffMs: 500,
  factor: 2,
  budgetMs: 30_000,
};

/** Appends `source` and closes it. `sizeBytes` of the result is that of the whole file, `copies` of what is new. */
export async function append(
  context: ClientContext,
  source: ChunkSource,
  path: string,
  options: AppendOptions = {},
): Promise<UploadResult> {
  const { create = true, expectedVersion, ...rest } = options;
  const { signal } = options;
  const find = () => fileAt(context, path, create && expectedVersion === undefined, signal);
  let found: Entry | undefined;
  try {
    found = await find();
    checkExpected(path, found, expectedVersion);
  } catch (error) {
    await source.close();
    throw error;
  }
  // A file has one policy.
  const policy = found?.policy && { replicas: found.policy.pieces, minWrite: found.policy.minWrite };
  // Those of the source are not those of the whole; what the tracker knows stays.
  const uploading = { attributes: {}, ...rest, ...policy, overwrite: true };
  // Whatever has come meanwhile: it is as good to go on from, as long as nothing else was asked for.
  const isRetryable = (error: HoldfastError): boolean =>
    expectedVersion === undefined && hasCode(error, 'VERSION_CONFLICT', 'ALREADY_EXISTS');
  const placing: Placing = (commit) =>
    withRetry(conflictRetry, { ...context, signal, isRetryable }, async (attempt) => {
      if (attempt > 1) found = await find();
      return commit(placeOf(found));
    });
  return upload(context, source, path, uploading, { placing });
}

function placeOf(found: Entry | undefined): Place {
  return found ? { appendToVersion: found.version } : { expectedVersion: 0 };
}

/** The file; undefined if there is none and one may be made. */
async function fileAt(
  context: ClientContext,
  path: string,
  mayBeMissing: boolean,
  signal: AbortSignal | undefined,
): Promise<Entry | undefined> {
  try {
    const entry = await stat(context, path, { signal });
    if (entry.type === 'file') return entry;
  } catch (error) {
    if (mayBeMissing && hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
  throw new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(path)} is a directory`, {
    remedy: 'Name a file.',
  });
}

function checkExpected(path: string, found: Entry | undefined, expectedVersion: number | undefined): void {
  if (expectedVersion === undefined || found?.version === expectedVersion) return;
  throw new HoldfastError(
    'VERSION_CONFLICT',
    `${path} is at version ${found?.version ?? 0}, not at version ${expectedVersion}`,
    { remedy: 'Look at what changed, then append again with the version that is there now.' },
  );
}
