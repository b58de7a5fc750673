/**
 * A part file that outlives its download: the next one to the same place goes on with it. Nothing is written down about
 * what is in it. A chunk is there if its bytes, read again, have the digest of the version's chunk; so neither a kill
 * nor a power cut, after which a file may have holes, ever leads to wrong bytes, at the price of reading what is there.
 * The version is in the name, and the process that writes (owned-file.ts): two downloads never write one file.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, realpath, unlink } from 'node:fs/promises';
import { ChecksumTable, type Random, blockChecksums, errnoOf, fromErrno, limits } from '@holdfast/shared';
import type { ResumeState } from '../core/resume.js';
import type { DownloadOptions, DownloadTarget } from '../download/download.js';
import type { Entry, LocatedExtent } from '../ports/tracker-api.js';
import { claim, ownPath, release, touch } from './owned-file.js';
import { PartFile, onceLabel, partFamily, refuseTaken } from './part-file.js';

/** Two chunks of the default size: of less, an interruption costs no more than what is on its way at once anyhow. */
export const resumableBytes = 2 * limits.defaultChunkSizeBytes;

/**
 * Opens the target of a large file. Without `resume` nothing is kept of it, and what others left for this target goes.
 *
 * @throws as openPartFile
 */
export async function openResumablePart(
  path: string,
  { path: remotePath, version, sizeBytes, attributes }: Entry,
  { overwrite = false, resume = false, onResume }: DownloadOptions,
  random: Random,
): Promise<DownloadTarget> {
  try {
    await refuseTaken(path, overwrite);
    const target = await realpath(path).catch(() => path);
    const family = partFamily(target);
    const label = String(version);
    const { claimed, inUse } = await claim(family, random);
    let found: { readonly path: string; readonly handle: FileHandle; readonly bytes: number } | undefined;
    for (const file of claimed) {
      const isOfUse = resume && !found && file.label === label;
      const opened = isOfUse ? await openOwn(file.path) : undefined;
      if (opened) found = { path: file.path, ...opened };
      else await unlink(file.path).catch(unlessDirectory);
    }
    const changed = !found && claimed.some(({ label: other }) => other !== label && other !== onceLabel);
    const tell = (notice: ResumeState) => onResume?.({ path: remotePath, ...notice });
    if (found) {
      // Its chunks are looked at, and nobody looks behind them: what is there is none of the file's.
      if (found.bytes > sizeBytes) await found.handle.truncate(sizeBytes);
      tell({ kind: 'resumed', storedBytes: Math.min(found.bytes, sizeBytes), totalBytes: sizeBytes });
    } else if (resume && changed) tell({ kind: 'source-changed' });
    else if (resume && inUse) tell({ kind: 'in-use' });
    const part = found?.path ?? (await ownPath(family, label, random));
    const handle = found?.handle ?? (await open(part, 'wx+', attributes.mode === undefined ? 0o666 : 0o600));
    const file = new PartFile(target, part, handle, overwrite);
    if (!resume) return file;
    const leave = () => release(family, { path: part, label }, random);
    return new ResumablePart(file, handle, part, found?.bytes ?? 0, leave);
  } catch (error) {
    throw fromErrno(error, `cannot write ${JSON.stringify(path)}`);
  }
}

/** What is called like a part file and is a directory is nobody's part file, and in nobody's way. */
function unlessDirectory(error: unknown): void {
  if (errnoOf(error) !== 'EISDIR' && errnoOf(error) !== 'EPERM') throw error;
}

/** Opens what an earlier download of this user left; not a link or another user's file that somebody put there. */
async function openOwn(
  path: string,
): Promise<{ readonly handle: FileHandle; readonly bytes: number } | undefined> {
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch(() => undefined);
  const status = await handle?.stat();
  const isOurs = status?.isFile() && status.nlink === 1 && status.uid === (process.getuid?.() ?? status.uid);
  if (handle && status && isOurs) return { handle, bytes: status.size };
  await handle?.close();
  return undefined;
}

class ResumablePart implements DownloadTarget {
  readonly #file: PartFile;
  readonly #handle: FileHandle;
  readonly #leftBytes: number;
  readonly #release: () => Promise<void>;
  readonly #path: string;
  readonly write: PartFile['write'];
  readonly finish: PartFile['finish'];
  readonly discard: PartFile['discard'];

  constructor(
    file: PartFile,
    handle: FileHandle,
    path: string,
    leftBytes: number,
    leave: () => Promise<void>,
  ) {
    this.#file = file;
    this.#handle = handle;
    this.#leftBytes = leftBytes;
    this.#release = leave;
    this.#path = path;
    this.write = (data, position) => file.write(data, position);
    this.finish = (attributes) => file.finish(attributes);
    this.discard = () => file.discard();
  }

  async holds(extent: LocatedExtent): Promise<boolean> {
    const { fileOffset, lengthBytes, chunkLengthBytes, blockSizeBytes, chunkDigest } = extent;
    // Of a part of a chunk nothing tells whether it is right.
    if (lengthBytes !== chunkLengthBytes || fileOffset + lengthBytes > this.#leftBytes) return false;
    // Reading what is there may take longer than others take it for alive.
    await touch(this.#path);
    const table = new ChecksumTable(lengthBytes, blockSizeBytes);
    const buffer = Buffer.allocUnsafeSlow(
      blockSizeBytes * Math.max(1, limits.messageDataBytes / blockSizeBytes),
    );
    for (let at = 0, block = 0; at < lengthBytes;) {
      const wanted = Math.min(buffer.length, lengthBytes - at);
      const { bytesRead } = await this.#handle.read(buffer, 0, wanted, fileOffset + at);
      if (bytesRead < wanted) return false;
      for (const checksum of blockChecksums(buffer.subarray(0, wanted), blockSizeBytes)) {
        table.set(block++, checksum);
      }
      at += wanted;
    }
    return table.digest().equals(chunkDigest);
  }

  async keep(): Promise<void> {
    await this.#file.close().catch(() => undefined);
    await this.#release().catch(() => undefined);
  }
}
