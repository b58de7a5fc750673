/**
 * Records of uploads in a directory of the user: a file for each, a line for each thing that happened, appended as it
 * happens and written by no more than one process (owned-file.ts).
 *
 * A line is its CRC-32, a space and JSON. Reading ends at the first line that is torn or makes no sense, and what
 * comes before it counts; a record without a good first line is none. Only that line is synced, which names the session:
 * after a power cut some chunks are sent again, but no session is left that nobody knows of. What a record says of receipts
 * is verified by the tracker, and of the source by its state.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, truncate, unlink } from 'node:fs/promises';
import {
  HoldfastError,
  type Random,
  type Receipt,
  blockChecksum,
  checkId,
  errnoOf,
  limits,
} from '@holdfast/shared';
import { nodeFileSystem } from '@holdfast/shared/node';
import type { FileAttributes } from '../ports/tracker-api.js';
import type { AskedCommit, LeftUpload, UploadJournal, WrittenChunk } from '../ports/upload-journal.js';
import { makeStateDirectory } from './state-directory.js';
import { type Family, type OwnedFile, claim, ownPath, release, sweep, touching } from './owned-file.js';

/** Twice the longest lease that a tracker gives: the session is over. */
const keptMs = 48 * 60 * 60_000;
/** A line of a chunk has about 900 bytes and 6 for each of its 64 KiB blocks, of which there are 1,024 at most. */
const maxLineBytes = 64 * 1024;
/** Of a record that grows beyond, with some 2 TB, the rest is not read: its chunks are sent again. */
const maxRecordBytes = 256 * 1024 * 1024;
/** The tracker is told of chunks within some tens of them, so the receipts of those before the last of these are its. */
const keptReceipts = 1_000;
/** Of a file system that syncs nothing, as some in user space or on a network: a record is worth having there too. */
const cannotSync = new Set(['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP']);
const newline = 10;
const ending = 'upload';
const format = 2;

/** What an upload is known by: one that differs in any of it is another one. */
export interface UploadIdentity {
  readonly clusterId: string;
  /** Of the source: its real path, and its state. */
  readonly sourcePath: string;
  readonly sourceState: string;
  readonly remotePath: string;
  /** What was asked for, as far as chunks depend on it. */
  readonly asked: string;
}

export interface OpenedJournal {
  readonly journal: UploadJournal | undefined;
  /** Why it begins anew, if it does and there was something. */
  readonly notice?: 'source-changed' | 'in-use';
}

/**
 * Opens the record of an upload; without one if another process is at the same upload.
 *
 * @throws whatever the directory's file system does
 */
export async function openUploadJournal(
  directory: string,
  identity: UploadIdentity,
  random: Random,
): Promise<OpenedJournal> {
  await makeStateDirectory(directory);
  await sweep({ directory, ending }, keptMs);
  const stem = createHash('sha256')
    .update(JSON.stringify([identity.clusterId, identity.sourcePath, identity.remotePath]))
    .digest('hex')
    .slice(0, 32);
  const family: Family = { directory, stem, ending };
  const { claimed, inUse } = await claim(family, random);
  if (inUse) {
    // Whoever is at it, or comes next, may go on with what is there.
    for (const file of claimed) await release(family, file, random);
    return { journal: undefined, notice: 'in-use' };
  }
  const abandoned: string[] = [];
  let left: Found | undefined;
  let changed = false;
  for (const file of claimed) {
    const found = await readRecord(file.path);
    if (found && !left && same(found.identity, identity)) {
      left = { file, ...found };
      continue;
    }
    if (found) abandoned.push(found.record.uploadId);
    if (found && found.identity.sourceState !== identity.sourceState) changed = true;
    await unlink(file.path);
  }
  const journal = new FileJournal(family, identity, random, left, abandoned);
  return { journal, ...(changed && !left && { notice: 'source-changed' as const }) };
}

function same(a: UploadIdentity, b: UploadIdentity): boolean {
  return JSON.stringify(headerOf(a)) === JSON.stringify(headerOf(b));
}

function headerOf({ clusterId, sourcePath, sourceState, remotePath, asked }: UploadIdentity): UploadIdentity {
  return { clusterId, sourcePath, sourceState, remotePath, asked };
}

interface Found {
  readonly file: OwnedFile;
  readonly record: LeftUpload;
  /** Where its good lines end. */
  readonly goodBytes: number;
}

class FileJournal implements UploadJournal {
  readonly left: LeftUpload | undefined;
  readonly abandoned: readonly string[];
  readonly #family: Family;
  readonly #identity: UploadIdentity;
  readonly #random: Random;
  readonly #goodBytes: number;
  #file: OwnedFile | undefined;
  #handle: FileHandle | undefined;
  #touching: NodeJS.Timeout | undefined;
  /** A line could not be written: behind it nothing would be read. */
  #isTorn = false;
  /** One write at a time, in order. */
  #last: Promise<void> = Promise.resolve();

  constructor(
    family: Family,
    identity: UploadIdentity,
    random: Random,
    left: Found | undefined,
    abandoned: readonly string[],
  ) {
    this.#family = family;
    this.#identity = identity;
    this.#random = random;
    this.#file = left?.file;
    this.#goodBytes = left?.goodBytes ?? 0;
    this.left = left?.record;
    this.abandoned = abandoned;
    if (left) this.#keep();
  }

  get isKept(): boolean {
    return this.#file !== undefined;
  }

  begin(uploadId: string): Promise<void> {
    return this.#write(async () => {
      await this.#drop();
      const path = await ownPath(this.#family, 'v1', this.#random);
      this.#handle = await open(path, 'ax', 0o600);
      this.#file = { path, label: 'v1' };
      this.#keep();
      await this.#handle.write(lineOf({ format, ...headerOf(this.#identity), uploadId }));
      await this.#handle.sync().catch((error: unknown) => {
        if (!cannotSync.has(errnoOf(error) ?? '')) throw error;
      });
      // Not all that sync files sync directories.
      await nodeFileSystem.syncDirectory(this.#family.directory).catch(() => undefined);
    });
  }

  seal({ chunkId, lengthBytes, digest, fileOffset, receipts, checksums }: WrittenChunk): Promise<void> {
    const short = receipts.map(({ pieceIndex, keeperId, storageId, incarnation, signature }) => [
      pieceIndex,
      keeperId,
      storageId,
      incarnation,
      signature.toString('hex'),
    ]);
    return this.#append({
      chunkId,
      lengthBytes,
      digest: digest.toString('hex'),
      fileOffset,
      receipts: short,
      checksums: checksums.toString('base64'),
    });
  }

  committing(commit: AskedCommit): Promise<void> {
    return this.#append({ commit });
  }

  forget(): Promise<void> {
    return this.#write(() => this.#drop());
  }

  release(): Promise<void> {
    return this.#write(async () => {
      const file = await this.#leave();
      if (file) await release(this.#family, file, this.#random);
    });
  }

  #append(what: object): Promise<void> {
    return this.#write(async () => {
      if (!this.#file || this.#isTorn) return;
      try {
        this.#handle ??= await openAt(this.#file.path, this.#goodBytes);
        await this.#handle.write(lineOf(what));
      } catch {
        // What it has is right, and names a session that is kept for long.
        this.#isTorn = true;
      }
    });
  }

  async #drop(): Promise<void> {
    const file = await this.#leave();
    if (file) await unlink(file.path);
  }

  /** An upload may wait for room, or for a slow link, for longer than others take it for alive. */
  #keep(): void {
    this.#touching ??= touching(() => this.#file?.path);
  }

  async #leave(): Promise<OwnedFile | undefined> {
    const file = this.#file;
    this.#file = undefined;
    this.#isTorn = false;
    clearInterval(this.#touching);
    this.#touching = undefined;
    await this.#close();
    return file;
  }

  async #close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  /** A record that cannot be begun is given up: without it chunks are sent again, and nothing is wrong. */
  #write(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work).catch(async () => {
      await this.#drop().catch(() => undefined);
    });
    return this.#last;
  }
}

/** Opens a record behind its last good line: behind a torn one nothing would be read. */
async function openAt(path: string, goodBytes: number): Promise<FileHandle> {
  await truncate(path, goodBytes);
  return open(path, 'a');
}

function lineOf(what: object): Buffer {
  const json = Buffer.from(JSON.stringify(what));
  return Buffer.concat([Buffer.from(`${blockChecksum(json).toString(16)} `), json, Buffer.from('\n')]);
}

/** The good lines of a record, each with where it ends; a line at a time, as a record may be long. */
async function* linesOf(
  handle: FileHandle,
): AsyncGenerator<{ line: unknown; endBytes: number }, void, undefined> {
  let pending = Buffer.alloc(0);
  for (let readBytes = 0, endBytes = 0; readBytes < maxRecordBytes;) {
    const more = Buffer.alloc(maxLineBytes);
    const { bytesRead } = await handle.read(more, 0, more.length, readBytes);
    if (bytesRead === 0) return;
    readBytes += bytesRead;
    pending = Buffer.concat([pending, more.subarray(0, bytesRead)]);
    for (let end = pending.indexOf(newline); end >= 0; end = pending.indexOf(newline)) {
      const line = readLine(pending.subarray(0, end));
      if (line === undefined) return;
      endBytes += end + 1;
      pending = pending.subarray(end + 1);
      yield { line, endBytes };
    }
    if (pending.length > maxLineBytes) return;
  }
}

/** undefined of a line that is torn or not what this program writes. */
function readLine(bytes: Buffer): unknown {
  const space = bytes.indexOf(32);
  const json = bytes.subarray(space + 1);
  if (space < 0 || bytes.subarray(0, space).toString() !== blockChecksum(json).toString(16)) return undefined;
  try {
    return JSON.parse(json.toString());
  } catch {
    return undefined;
  }
}

interface ReadRecord extends Omit<Found, 'file'> {
  readonly identity: UploadIdentity;
}

/** What a record says; undefined if it is none. */
async function readRecord(path: string): Promise<ReadRecord | undefined> {
  // A pipe in its place would have us wait for a writer.
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    return await readLines(handle);
  } catch (error) {
    if (HoldfastError.is(error)) return undefined;
    throw error;
  } finally {
    await handle.close();
  }
}

async function readLines(handle: FileHandle): Promise<ReadRecord | undefined> {
  let header: Record<string, unknown> | undefined;
  const sealed: WrittenChunk[] = [];
  let commit: AskedCommit | undefined;
  let goodBytes = 0;
  for await (const { line, endBytes } of linesOf(handle)) {
    const fields = objectOf(line);
    if (!header) header = fields;
    else if (fields['commit'] !== undefined) commit = commitOf(objectOf(fields['commit']));
    else {
      sealed.push(sealedOf(fields));
      const old = sealed.length - 1 - keptReceipts;
      const known = sealed[old];
      if (known) sealed[old] = { ...known, receipts: [] };
    }
    goodBytes = endBytes;
  }
  if (header?.['format'] !== format) return undefined;
  const identity = {
    clusterId: textOf(header['clusterId']),
    sourcePath: textOf(header['sourcePath']),
    sourceState: textOf(header['sourceState']),
    remotePath: textOf(header['remotePath']),
    asked: textOf(header['asked']),
  };
  const uploadId = checkId(textOf(header['uploadId']), 'uploadId');
  return { identity, record: { uploadId, sealed, ...(commit && { commit }) }, goodBytes };
}

function sealedOf(fields: Record<string, unknown>): WrittenChunk {
  const chunkId = checkId(textOf(fields['chunkId']), 'chunkId');
  const lengthBytes = numberOf(fields['lengthBytes']);
  const digest = Buffer.from(textOf(fields['digest']), 'hex');
  const receipts = listOf(fields['receipts']).slice(0, limits.maxPieces);
  return {
    chunkId,
    lengthBytes,
    digest,
    fileOffset: numberOf(fields['fileOffset']),
    checksums: Buffer.from(textOf(fields['checksums']), 'base64'),
    receipts: receipts.map((item): Receipt => {
      const [pieceIndex, keeperId, storageId, incarnation, signature] = listOf(item);
      return {
        ...{ chunkId, lengthBytes, digest },
        pieceIndex: numberOf(pieceIndex),
        keeperId: checkId(textOf(keeperId), 'keeperId'),
        storageId: checkId(textOf(storageId), 'storageId'),
        incarnation: numberOf(incarnation),
        signature: Buffer.from(textOf(signature), 'hex'),
      };
    }),
  };
}

function commitOf(fields: Record<string, unknown>): AskedCommit {
  const { expectedVersion } = fields;
  return {
    requestId: checkId(textOf(fields['requestId']), 'requestId'),
    ...(expectedVersion !== undefined && { expectedVersion: numberOf(expectedVersion) }),
    createParents: fields['createParents'] === true,
    attributes: attributesOf(objectOf(fields['attributes'])),
  };
}

function attributesOf({ mode, modifiedAtUnixMs }: Record<string, unknown>): FileAttributes {
  return {
    ...(modifiedAtUnixMs !== undefined && { modifiedAtUnixMs: Number(modifiedAtUnixMs) }),
    ...(mode !== undefined && { mode: numberOf(mode) }),
  };
}

function nonsense(): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', 'the record of an upload makes no sense');
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw nonsense();
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw nonsense();
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw nonsense();
}

function numberOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw nonsense();
}
