/** Which uploads are written down so that they can be gone on with, and under what they are found again. */
import { realpath } from 'node:fs/promises';
import { limits } from '@holdfast/shared';
import type { ClientContext } from '../core/context.js';
import type { ResumeState } from '../core/resume.js';
import type { UploadJournal } from '../ports/upload-journal.js';
import type { ChunkSource } from '../upload/chunk-source.js';
import type { UploadOptions } from '../upload/upload.js';
import { stateDirectory } from './state-directory.js';
import { openUploadJournal } from './upload-journal.js';

/** Of less, an interruption costs no more than what is on its way at once anyhow. */
const fromChunks = 2;

/** The record of an upload; undefined where there is none, and it goes on without. Never rejects. */
export async function resumableUpload(
  { tracker, random }: ClientContext,
  { identity, sizeBytes = 0 }: ChunkSource,
  remotePath: string,
  { resume = false, onResume, signal, chunkSizeBytes = 0, replicas = 0, minWrite = 0 }: UploadOptions,
): Promise<UploadJournal | undefined> {
  const fromBytes = fromChunks * (chunkSizeBytes || limits.defaultChunkSizeBytes);
  if (resume === false || !identity || sizeBytes < fromBytes) return undefined;
  const tell = (notice: ResumeState) => onResume?.({ path: remotePath, ...notice });
  const directory = resume === true ? stateDirectory('uploads', process.env) : resume;
  if (directory === undefined) {
    tell({ kind: 'not-recorded', reason: 'the user has no home directory' });
    return undefined;
  }
  try {
    // Sessions are one cluster's; of two with one address, as test clusters are, each has its own.
    const { clusterId } = await tracker.clusterStatus({ signal });
    const asked = [chunkSizeBytes, replicas, minWrite].join(' ');
    const sourcePath = await realpath(identity.path);
    const known = { clusterId, sourcePath, sourceState: identity.state, remotePath, asked };
    const { journal, notice } = await openUploadJournal(directory, known, random);
    if (notice) tell({ kind: notice });
    return journal;
  } catch (error) {
    // A home that cannot be written to is no reason not to upload; an abort the upload hears itself.
    if (signal?.aborted !== true)
      tell({ kind: 'not-recorded', reason: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}
