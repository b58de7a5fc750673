/**
 * The client: what a program calls. It joins the core to local files and to Node's streams, and holds nothing
 * of its own but the connection.
 */
import type { Readable, Writable } from 'node:stream';
import { isAnyArrayBuffer } from 'node:util/types';
import { HoldfastError, checkId, splitPath, throwIfCancelled } from '@holdfast/shared';
import * as inspect from './cluster/inspect.js';
import * as jobs from './cluster/jobs.js';
import { checkFiles, checkLocalPath, checkOptions, shown } from './core/check-options.js';
import type { ClientContext } from './core/context.js';
import { MemoryShare } from './core/memory-share.js';
import { mutating } from './core/retrying.js';
import { heard } from './core/signals.js';
import { type DownloadOptions, type DownloadResult, download, fileEntry } from './download/download.js';
import { type DownloadOutcome, type FileToDownload, downloadMany } from './download/download-many.js';
import {
  type ReadFileOptions,
  type WriteFileOptions,
  checkEncoding,
  readFile,
} from './download/read-file.js';
import { type ReadOptions, readBytes } from './download/read-stream.js';
import { type CompareOptions, type Comparison, compareFile } from './local/compare.js';
import { openLocalSource } from './local/file-source.js';
import {
  createPartFile,
  isPlainTarget,
  isSpecialFile,
  openPartFile,
  writeSpecialFile,
} from './local/part-file.js';
import { OrphanedParts } from './local/orphaned-parts.js';
import { openResumablePart, resumableBytes } from './local/resumable-part.js';
import { resumableUpload } from './local/resumable-upload.js';
import { type UploadStream, bytesReadable, uploadStream } from './local/streams.js';
import { bytesReadableStream, uploadWritableStream } from './local/web-streams.js';
import * as namespace from './namespace/namespace.js';
import * as trash from './namespace/trash.js';
import { type WatchOptions, watch, watchCursor } from './namespace/watch.js';
import type { ClusterStatus, KeeperStatus } from './ports/cluster-status.js';
import type { ClusterEvent, ExplainedChunk } from './ports/inspection.js';
import type { Job } from './ports/jobs.js';
import type {
  Entry,
  LocateChunksRequest,
  TrashSummary,
  TrashedPieces,
  TrashedVersion,
} from './ports/tracker-api.js';
import type { EntryChange } from './ports/watch.js';
import { type AppendOptions, append } from './upload/append.js';
import { blobSource } from './upload/blob-source.js';
import { bytesSource } from './upload/bytes-source.js';
import type { ChunkSource } from './upload/chunk-source.js';
import { streamSource } from './upload/stream-source.js';
import {
  type FileToUpload,
  type UploadManyOptions,
  type UploadOutcome,
  uploadMany,
} from './upload/upload-many.js';
import { type UploadOptions, type UploadResult, upload } from './upload/upload.js';

/** Bytes in memory, a Blob or File, or a stream of bytes of either kind: `response.body` of fetch is one. */
export type ByteSource =
  ArrayBufferView | ArrayBuffer | Blob | Readable | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** A local file's path, or what gives bytes. */
export type UploadSource = string | ByteSource;

/**
 * A connection to a cluster. Made by `connect`, ended by `close`. Remote paths are absolute ("/photos/cat.jpg").
 *
 * Every method rejects with a HoldfastError, whose `code` a program may switch over, or with what a stream or a
 * callback of the caller's threw; methods that give a stream or an iteration throw at once for options of a wrong
 * type. Calls that are not transfers ride out a restart of the tracker for up to a minute.
 *
 * @example
 * try {
 *   await client.upload(Buffer.from('hello'), '/hello.txt');
 * } catch (error) {
 *   if (!hasCode(error, 'ALREADY_EXISTS')) throw error;
 *   console.log(error.message, error.remedy);
 * }
 */
export class HoldfastClient {
  readonly #context: ClientContext;
  readonly #close: () => void;
  readonly #orphans = new OrphanedParts();

  constructor(context: ClientContext, close: () => void) {
    this.#context = context;
    this.#close = close;
  }

  /**
   * Stores a file. Resolves when every byte is on stable storage on at least `minWrite` keepers and the path
   * shows the new version; until then, and after a failure, it shows what it showed before. An abort leaves
   * nothing visible, or comes too late and the upload resolves; chunks that were written are reclaimed by the
   * cluster. If the tracker is lost in the last step, the error's `facts.outcome` is 'unknown'.
   *
   * Bytes in memory must not change until it resolves. A local file that changes meanwhile is refused. The
   * attributes (modification time, mode) of a local file are kept with it.
   *
   * @throws HoldfastError ALREADY_EXISTS unless `overwrite`, NOT_FOUND (the source, or the parent directory
   *   without `createParents`), IS_A_DIRECTORY, SOURCE_CHANGED, NOT_ENOUGH_KEEPERS, OUT_OF_SPACE, UNAVAILABLE …
   * @example
   * await client.upload('cat.jpg', '/photos/2026/cat.jpg', { createParents: true });
   * await client.upload(Buffer.from('hello'), '/hello.txt', { overwrite: true });
   * const { body } = new Response('what fetch gave');
   * if (body) await client.upload(body, '/page.html');
   */
  async upload(source: UploadSource, remotePath: string, options: UploadOptions = {}): Promise<UploadResult> {
    const own = heard(options);
    throwIfCancelled(own.signal);
    splitPath(remotePath);
    return this.#upload(await this.#open(source, own.signal), remotePath, own);
  }

  async #upload(source: ChunkSource, remotePath: string, options: UploadOptions): Promise<UploadResult> {
    const journal = await resumableUpload(this.#context, source, remotePath, options);
    return upload(this.#context, source, remotePath, options, { journal });
  }

  /**
   * Stores many files and yields what became of each, in the order in which that is known. Small ones share chunks and
   * calls, so a tree of thousands takes seconds; large ones go beside them as with `upload`, whose promises hold for
   * each file. One that fails does not stop the others: an abort does, or leaving the loop. What is yielded has the
   * file as it was given, with whatever a program put beside its source and path.
   *
   * The iterable may be of any length and is asked for more as there is room; what it throws is thrown after the
   * outcomes of what it gave. Several sources that are streams are read one after the other.
   *
   * @throws HoldfastError CANCELLED, INVALID_ARGUMENT
   * @example
   * const names = ['cat.jpg', 'photo.jpg'];
   * const files = names.map((name) => ({ source: name, path: `/pets/${name}` }));
   * for await (const { file, error } of client.uploadMany(files, { createParents: true })) {
   *   if (error) console.error(file.path, error.message);
   * }
   */
  uploadMany<File extends FileToUpload<UploadSource>>(
    files: Iterable<File> | AsyncIterable<File>,
    options: UploadManyOptions = {},
  ): AsyncGenerator<UploadOutcome<File>, void, undefined> {
    checkFiles(files);
    const open = ({ source }: File, signal: AbortSignal) => this.#open(source, signal);
    const alone = (source: ChunkSource, path: string, own: UploadOptions) => this.#upload(source, path, own);
    return uploadMany(this.#context, files, open, heard(options), alone);
  }

  /**
   * Stores bytes at the end of a file, which is made if it is missing, in one step: it shows the old length or the new
   * one. The old bytes are not moved, and the version that was there is in the trash. Others may append meanwhile: what
   * each brought is there in one run, one behind the other. With `expectedVersion` only exactly this version is
   * appended to. The result's `sizeBytes` is that of the whole file, its `copies` are those of what is new; the entry
   * has no `contentDigest` any more.
   *
   * Collect what comes in drops: each append costs as much as the file has extents (one for each chunk and each
   * append), and at 10,000 of them it is refused (LIMIT_EXCEEDED).
   *
   * @throws HoldfastError as `upload`; NOT_FOUND if the file is missing and `create` is false, VERSION_CONFLICT
   * @example
   * await client.append(Buffer.from('one more line\n'), '/log.txt');
   */
  async append(source: UploadSource, remotePath: string, options: AppendOptions = {}): Promise<UploadResult> {
    const own = heard(options);
    throwIfCancelled(own.signal);
    splitPath(remotePath);
    return append(this.#context, await this.#open(source, own.signal), remotePath, own);
  }

  /**
   * Fetches a file. The bytes appear at `localPath` all at once, after they have been verified and synced; on
   * failure or abort nothing is left behind. Modification time and mode are restored when the file has them. What
   * downloads that were killed left beside `localPath` (`.NAME.holdfast.….part`) is removed, where nothing can go on with it.
   * Devices and pipes are written into. Give an Entry (from `stat` or `list`) to get exactly that version.
   *
   * @throws HoldfastError NOT_FOUND, IS_A_DIRECTORY, ALREADY_EXISTS unless `overwrite`, DATA_LOSS, UNAVAILABLE …
   * @example
   * const onProgress = ({ transferredBytes, totalBytes }) => console.log(transferredBytes, 'of', totalBytes);
   * await client.download('/photos/cat.jpg', 'cat.jpg', { overwrite: true, onProgress });
   */
  async download(
    file: string | Entry,
    localPath: string,
    options: DownloadOptions = {},
  ): Promise<DownloadResult> {
    const own = heard(options);
    const { overwrite = false, signal, onProgress } = own;
    checkFile(file);
    checkLocalPath(localPath);
    const entry = await fileEntry(this.#context, file, signal);
    if (await isSpecialFile(localPath)) {
      const { path, version, sizeBytes } = entry;
      // It takes bytes in order only, and is never replaced.
      const bytes = this.createReadStream(entry, { signal, ...(onProgress && { onProgress }) });
      await writeSpecialFile(localPath, bytes, signal);
      return { path, version, sizeBytes };
    }
    const target = await (entry.sizeBytes >= resumableBytes
      ? openResumablePart(localPath, entry, own, this.#context.random)
      : openPartFile(localPath, entry.attributes, overwrite, this.#context.random));
    const removing = this.#orphans.removeBesideTarget(localPath);
    return download(this.#context, entry, target, own).finally(() => removing);
  }

  /**
   * Whether a local file has the bytes of a remote one, by digests: reads the local file, and moves no bytes. 'unknown'
   * if no digest is known of some bytes of the remote file, as of a part of a chunk; `fetch` then fetches those bytes.
   *
   * @throws HoldfastError NOT_FOUND (either one), IS_A_DIRECTORY, PERMISSION_DENIED …
   * @example
   * if ((await client.compare('cat.jpg', '/photos/cat.jpg')) !== 'same') console.log('not backed up');
   */
  async compare(localPath: string, file: string | Entry, options: CompareOptions = {}): Promise<Comparison> {
    const own = heard(options);
    checkLocalPath(localPath);
    checkFile(file);
    const entry = await fileEntry(this.#context, file, own.signal);
    return compareFile(this.#context, localPath, entry, own);
  }

  /**
   * Fetches many files, of any sizes, and yields what became of each in the order in which that is known: a `result`,
   * or the `error` of that file alone. Each appears as with `download`, verified and synced. Small files (up
   * to 1 MiB) are fetched together: one call locates a thousand of them, and a chunk that several share is read once.
   * `files` is read as they get on, some thousands ahead. `concurrency` is that of each large file. `onProgress` tells of
   * the bytes of all files. What killed downloads left in the directories goes, as with `download`. Leaving the loop, or an abort, ends what is on its way and
   * leaves nothing of it behind, unless `resume` keeps it.
   *
   * @throws HoldfastError CANCELLED, and what `files` throws
   * @example
   * const files = [{ entry: await client.stat('/photos/cat.jpg'), localPath: 'copy-of-cat.jpg' }];
   * for await (const { file, error } of client.downloadMany(files)) {
   *   if (error) console.error(file.localPath, error.message);
   * }
   */
  downloadMany<File extends FileToDownload>(
    files: Iterable<File> | AsyncIterable<File>,
    options: DownloadOptions = {},
  ): AsyncGenerator<DownloadOutcome<File>, void, undefined> {
    const own = heard(options);
    const { overwrite = false } = own;
    checkFiles(files);
    const local = {
      check: ({ entry, localPath }: FileToDownload) => {
        checkFile(entry);
        checkLocalPath(localPath);
      },
      isPlain: ({ localPath }: FileToDownload) => isPlainTarget(localPath, overwrite),
      create: async ({ entry, localPath }: FileToDownload) => {
        await this.#orphans.removeBeside(localPath);
        return createPartFile(localPath, entry.attributes, overwrite, this.#context.random);
      },
      download: ({ entry, localPath }: FileToDownload, itsOwn: DownloadOptions) =>
        this.download(entry, localPath, itsOwn),
    };
    return downloadMany(this.#context, files, local, own);
  }

  /**
   * Reads a file, or bytes `start` to `end` of it (`end` included, as in node:fs), as a stream. It stays one
   * version to the end, whatever is committed meanwhile. Destroying the stream stops the transfer.
   *
   * Every block is held against its checksum. A chunk of up to 4 MiB that is read whole is held against its digest too; of a
   * part of a chunk, as of a longer one or of a small file that shares its chunk with others, a reader has the checksums
   * alone that the keeper brings. They find what was damaged, not a keeper that makes them for other bytes; `download`
   * finds that too, of such a small file by its `contentDigest`.
   *
   * @example
   * let bytes = 0;
   * for await (const part of client.createReadStream('/log', { start: 1_000, end: 1_999 })) bytes += part.length;
   * console.log(bytes);
   */
  createReadStream(file: string | Entry, options: ReadOptions = {}): Readable {
    const target = readTarget(file);
    const own = heard(options);
    return bytesReadable((signal) => readBytes(this.#context, target, { ...own, signal }), own.signal);
  }

  /**
   * The same as a Web Stream of bytes: for `new Response(…)`, `pipeTo`, `for await`, and readers that bring their own
   * memory. Nothing is fetched before it is asked for. Cancelling it stops the transfer.
   *
   * @throws HoldfastError INVALID_ARGUMENT at once for arguments of a wrong type; the rest as errors of the stream
   * @example
   * const response = new Response(client.createReadableStream('/photos/cat.jpg', { end: 99 }));
   * console.log((await response.arrayBuffer()).byteLength);
   */
  createReadableStream(file: string | Entry, options: ReadOptions = {}): ReadableStream<Uint8Array> {
    const target = readTarget(file);
    const own = heard(options);
    return bytesReadableStream((signal) => readBytes(this.#context, target, { ...own, signal }), own.signal);
  }

  /**
   * Reads a file, or bytes `start` to `end` of it (`end` included), into one Buffer, or into a string if an encoding
   * is given that is not null, as of node:fs/promises. More than `maxBytes` (64 MiB unless said) is refused before any
   * byte is read. The bytes are held against checksums as those of `createReadStream` are.
   *
   * @throws HoldfastError NOT_FOUND, IS_A_DIRECTORY, LIMIT_EXCEEDED, DATA_LOSS, UNAVAILABLE …
   * @example
   * const bytes = await client.readFile('/photos/cat.jpg');
   * const text = await client.readFile('/hello.txt', 'utf8');
   * const head = await client.readFile('/log', { end: 79, encoding: 'utf8' });
   */
  readFile(
    file: string | Entry,
    options?: null | (ReadFileOptions & { readonly encoding?: undefined | null }),
  ): Promise<Buffer>;
  readFile(
    file: string | Entry,
    options: BufferEncoding | (ReadFileOptions & { readonly encoding: BufferEncoding }),
  ): Promise<string>;
  async readFile(
    file: string | Entry,
    options: BufferEncoding | null | ReadFileOptions = {},
  ): Promise<Buffer | string> {
    const own = heard<ReadFileOptions>(isEncoding(options) ? { encoding: options } : options);
    const encoding = checkEncoding(own);
    const bytes = await readFile(this.#context, readTarget(file), own);
    return encoding === undefined ? bytes : bytes.toString(encoding);
  }

  /**
   * Stores text (as UTF-8, or in the encoding that is given) or bytes at a path, as node:fs/promises has it: what is
   * there is replaced, in one step, unless `overwrite` is false or `expectedVersion` says otherwise. It differs from
   * `upload` in this, and in that a string is the content and not the name of a local file.
   *
   * @throws HoldfastError as `upload`
   * @example
   * const { version } = await client.writeFile('/settings.json', JSON.stringify({ theme: 'dark' }));
   * // Only if nobody else wrote meanwhile:
   * await client.writeFile('/settings.json', '{}', { expectedVersion: version });
   */
  async writeFile(
    remotePath: string,
    data: string | ByteSource,
    options: BufferEncoding | null | WriteFileOptions = {},
  ): Promise<UploadResult> {
    const own: WriteFileOptions = isEncoding(options) ? { encoding: options } : options;
    checkOptions(own);
    const encoding = checkEncoding(own);
    const source = typeof data === 'string' ? Buffer.from(data, encoding) : data;
    return this.upload(source, remotePath, { overwrite: true, ...own });
  }

  /**
   * Stores what is written to the stream. 'finish' comes when the version is durable and visible; destroying
   * the stream before leaves nothing visible. `committed` resolves to the same result as `upload`.
   *
   * @example
   * await pipeline(createReadStream('big.tar'), client.createWriteStream('/big.tar'));
   */
  createWriteStream(remotePath: string, options: UploadOptions = {}): UploadStream & Writable {
    checkOptions(options);
    return uploadStream(
      (source, signal) => this.upload(source, remotePath, { ...options, signal }),
      options.signal,
    );
  }

  /**
   * The same as a Web Stream. It takes as much as the upload does; `close` (and `pipeTo`) resolves when the version is
   * durable and visible, and aborting it before leaves nothing visible.
   *
   * @example
   * const stream = client.createWritableStream('/copy-of-hello.txt');
   * await client.createReadableStream('/hello.txt').pipeTo(stream);
   * console.log((await stream.committed).version);
   */
  createWritableStream(
    remotePath: string,
    options: UploadOptions = {},
  ): WritableStream<Uint8Array | string> & UploadStream {
    checkOptions(options);
    return uploadWritableStream(
      (source, signal) => this.upload(source, remotePath, { ...options, signal }),
      options.signal,
    );
  }

  /**
   * The entries of a directory, in byte order of their names, fetched as they are asked for. With a `depth` also
   * those below, each directory before what is in it; memory does not grow with their number.
   *
   * @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY
   * @example
   * for await (const entry of client.list('/photos')) console.log(entry.path, entry.sizeBytes);
   */
  list(path: string, options: namespace.ListOptions = {}): AsyncGenerator<Entry, void, undefined> {
    return namespace.list(this.#context, path, heard(options));
  }

  /**
   * Describes one entry; a file with how many copies it has now.
   *
   * @throws HoldfastError NOT_FOUND
   * @example
   * const { sizeBytes, version, durability } = await client.stat('/photos/cat.jpg');
   * console.log(sizeBytes, version, durability?.fewest);
   */
  async stat(path: string, options: namespace.CallSignal = {}): Promise<Entry> {
    return namespace.stat(this.#context, path, heard(options));
  }

  /**
   * Renames a file or a whole directory in one step.
   *
   * @throws HoldfastError NOT_FOUND, ALREADY_EXISTS unless `overwrite`, VERSION_CONFLICT, NOT_EMPTY, INVALID_ARGUMENT
   *   for a move into itself
   * @example
   * await client.move('/photos', '/pictures');
   */
  async move(source: string, destination: string, options: namespace.MoveOptions = {}): Promise<Entry> {
    return namespace.move(this.#context, source, destination, heard(options));
  }

  /**
   * Shows a file's bytes at a second path too, at once, however many they are: both share the chunks, and what
   * becomes of one does not touch the other. Directories are copied file by file.
   *
   * @throws HoldfastError NOT_FOUND (the source, or the destination's parent), ALREADY_EXISTS unless `overwrite`,
   *   IS_A_DIRECTORY, VERSION_CONFLICT
   * @example
   * const before = await client.stat('/hello.txt');
   * // Replaces exactly what was seen:
   * await client.copy('/photos/cat.jpg', '/hello.txt', { expectedVersion: before.version });
   */
  async copy(source: string, destination: string, options: namespace.CopyOptions = {}): Promise<Entry> {
    return namespace.copy(this.#context, source, destination, heard(options));
  }

  /**
   * Removes a file or an empty directory, or with `recursive` a directory with all that is below it. Resolves
   * to the number of entries that went.
   *
   * @throws HoldfastError NOT_FOUND, NOT_EMPTY, VERSION_CONFLICT
   * @example
   * console.log(await client.remove('/photos', { recursive: true }), 'entries went');
   */
  async remove(path: string, options: namespace.RemoveOptions = {}): Promise<number> {
    return namespace.remove(this.#context, path, heard(options));
  }

  /**
   * Makes a directory.
   *
   * @throws HoldfastError ALREADY_EXISTS, NOT_FOUND (no parent) unless `parents`
   * @example
   * await client.makeDirectory('/photos/2026/may', { parents: true });
   */
  async makeDirectory(path: string, options: namespace.MakeDirectoryOptions = {}): Promise<Entry> {
    return namespace.makeDirectory(this.#context, path, heard(options));
  }

  /**
   * The versions that can be restored at and below a path (default: all), in byte order of the paths, of each the
   * one that left it last first; fetched as they are asked for.
   *
   * @example
   * for await (const { path, version, replaced } of client.listTrash('/photos')) console.log(path, version);
   */
  listTrash(path = '/', options: namespace.CallSignal = {}): AsyncGenerator<TrashedVersion, void, undefined> {
    return trash.listTrash(this.#context, path, heard(options));
  }

  /**
   * Shows a file again that was deleted or replaced, with the directories that are missing: its bytes and
   * attributes, as a new version.
   *
   * @throws HoldfastError NOT_FOUND if it is not in the trash (any more), ALREADY_EXISTS unless `overwrite`,
   *   VERSION_CONFLICT, NOT_A_DIRECTORY, IS_A_DIRECTORY
   * @example
   * await client.remove('/photos/cat.jpg');
   * await client.restore('/photos/cat.jpg', { to: '/photos/cat-again.jpg' });
   */
  async restore(path: string, options: trash.RestoreOptions = {}): Promise<Entry> {
    return trash.restore(this.#context, path, heard(options));
  }

  /**
   * Gives up what can be restored at and below a path (default: everything). Its room comes back in the background,
   * after a grace for those who read it. Resolves to what was given up.
   *
   * @example
   * const { versions, bytes } = await client.emptyTrash('/photos');
   */
  async emptyTrash(path = '/', options: namespace.CallSignal = {}): Promise<TrashSummary> {
    return trash.emptyTrash(this.#context, path, heard(options));
  }

  /**
   * What becomes of the entries at and below a path, as it happens: every change once and in the order of the commits,
   * also over restarts of the tracker. Ends only by `signal`, by leaving the loop, or by an error. Each change has a
   * `cursor` to go on from, in another process too, as long as the tracker keeps what came after it (a million changes).
   *
   * @throws HoldfastError CANCELLED when `signal` is aborted; CURSOR_EXPIRED if the cursor cannot be gone on from: take
   *   one by `watchCursor`, list, then watch on from it
   * @example
   * const cursor = await client.watchCursor();
   * const paths = new Set();
   * for await (const { path } of client.list('/photos', { depth: Infinity })) paths.add(path);
   * await client.writeFile('/photos/dog.jpg', 'not really a dog');
   * for await (const { kind, path } of client.watch('/photos', { cursor })) {
   *   console.log(kind, path);
   *   break;
   * }
   */
  watch(path: string, options: WatchOptions = {}): AsyncGenerator<EntryChange, never, undefined> {
    return watch(this.#context, path, heard(options));
  }

  /**
   * A cursor for `watch`: what is committed from now on comes after it.
   *
   * @example
   * const cursor = await client.watchCursor();
   */
  async watchCursor(options: namespace.CallSignal = {}): Promise<string> {
    return watchCursor(this.#context, heard(options));
  }

  /**
   * How the cluster stands: keepers, capacity, chunks that lack copies, and what is being done about them.
   *
   * @example
   * const { keepers } = await client.status();
   * console.log(keepers.filter(({ state }) => state !== 'live').length, 'keepers are missing');
   */
  async status(options: namespace.CallSignal = {}): Promise<ClusterStatus> {
    return namespace.status(this.#context, heard(options));
  }

  /**
   * Checks what must always hold, over the metadata and over what every keeper says anew that it has. Changes
   * nothing. Resolves when the check has ended; what it found is in `findings`, what it did not look at in `text`.
   *
   * @example
   * const { state, findingsTotal } = await client.check({ onProgress: ({ text }) => console.log(text) });
   */
  async check(options: jobs.JobWaitOptions = {}): Promise<Job> {
    const waiting = { ...options, ...heard(options) };
    return jobs.wait(this.#context, await jobs.check(this.#context, waiting), waiting);
  }

  /**
   * Gives the operator's word that the pieces which a keeper has and the tracker does not know belong to nothing,
   * although they are too many for leftovers: the keeper moves them to its trash. Only those that two of its reports
   * have named, an hour apart; look with `check` first, and be sure that the tracker has the newest metadata.
   *
   * @throws HoldfastError NOT_FOUND (the keeper), METADATA_REGRESSED
   * @example
   * const [keeper] = await client.keepers();
   * const { trashed, kept } = await client.trashUnknownPieces(keeper.keeperId);
   */
  async trashUnknownPieces(keeperId: string, options: namespace.CallSignal = {}): Promise<TrashedPieces> {
    checkId(keeperId, 'the keeper');
    const { signal } = heard(options);
    return mutating(this.#context, signal, (requestId) =>
      this.#context.tracker.trashUnknownPieces({ keeperId, requestId }, { signal }),
    );
  }

  /**
   * Every keeper that the tracker knows.
   *
   * @example
   * for (const { keeperId, address, state } of await client.keepers()) console.log(keeperId, address, state);
   */
  async keepers(options: namespace.CallSignal = {}): Promise<readonly KeeperStatus[]> {
    return inspect.keepers(this.#context, heard(options));
  }

  /**
   * The chunks of a file in its order, fetched as they are asked for: where each piece is, how it stands, why it is
   * there, and what is being done about what is missing.
   *
   * @throws HoldfastError NOT_FOUND, IS_A_DIRECTORY
   * @example
   * for await (const { text, pieces } of client.explain('/photos/cat.jpg')) console.log(text, pieces.length);
   */
  explain(path: string, options: namespace.CallSignal = {}): AsyncGenerator<ExplainedChunk, void, undefined> {
    return inspect.explain(this.#context, path, heard(options));
  }

  /**
   * What would be lost or endangered if these keepers went now: each by its id, the beginning of its id, or its
   * address. Changes nothing.
   *
   * @throws HoldfastError NOT_FOUND, INVALID_ARGUMENT if several keepers fit
   * @example
   * const [{ address }] = await client.keepers();
   * const { lostFiles, summary } = await client.previewKeeperLoss([address]);
   */
  async previewKeeperLoss(
    keepers: readonly string[],
    options: namespace.CallSignal = {},
  ): Promise<inspect.KeeperLossPreview> {
    return inspect.previewKeeperLoss(this.#context, keepers, heard(options));
  }

  /**
   * What happened in the cluster, the oldest first: the latest 100 events, or as many as `limit` says, or all after
   * `afterEventId`; with `follow` it goes on with what happens.
   *
   * @throws HoldfastError CANCELLED when `signal` ends a loop that follows
   * @example
   * for await (const { kind, text } of client.events({ limit: 20 })) console.log(kind, text);
   */
  events(options: inspect.EventsOptions = {}): AsyncGenerator<ClusterEvent, void, undefined> {
    return inspect.events(this.#context, heard(options));
  }

  /**
   * Begins to empty a keeper: it takes no new pieces, and what it has is copied elsewhere. Resolves to the id of the
   * job; a keeper that is being drained already answers with the job that runs. Cancelling the job, also when it is
   * done, lets the keeper take pieces again.
   *
   * @throws HoldfastError NOT_FOUND
   * @example
   * const [keeper] = await client.keepers();
   * const job = await client.waitForJob(await client.drainKeeper(keeper.keeperId));
   * console.log(job.state, job.text);
   */
  async drainKeeper(keeperId: string, options: namespace.CallSignal = {}): Promise<string> {
    return jobs.drain(this.#context, keeperId, heard(options));
  }

  /**
   * Begins to even out how full the keepers are; resolves to the id of the job. One runs at a time.
   *
   * @example
   * await client.waitForJob(await client.rebalance());
   */
  async rebalance(options: namespace.CallSignal = {}): Promise<string> {
    return jobs.rebalance(this.#context, heard(options));
  }

  /**
   * Has keepers, or all of them, read everything that they store from their disks now; resolves to the id of the job.
   *
   * @throws HoldfastError NOT_FOUND
   * @example
   * const jobId = await client.scrub();
   * await client.waitForJob(jobId, { onProgress: ({ done, expected }) => console.log(done, 'of', expected) });
   */
  async scrub(keeperIds: readonly string[] = [], options: namespace.CallSignal = {}): Promise<string> {
    return jobs.scrub(this.#context, keeperIds, heard(options));
  }

  /**
   * The operators' jobs, the latest first, fetched as they are asked for.
   *
   * @example
   * for await (const { jobId, kind, state } of client.listJobs()) console.log(jobId, kind, state);
   */
  listJobs(options: namespace.CallSignal = {}): AsyncGenerator<Job, void, undefined> {
    return jobs.list(this.#context, heard(options));
  }

  /**
   * How a job stands.
   *
   * @throws HoldfastError NOT_FOUND
   * @example
   * const { state, done, expected } = await client.getJob(await client.scrub());
   */
  async getJob(jobId: string, options: namespace.CallSignal = {}): Promise<Job> {
    return jobs.get(this.#context, jobId, heard(options));
  }

  /**
   * Ends a job where it stands; what it did stays done. One that has ended is fine.
   *
   * @throws HoldfastError NOT_FOUND
   * @example
   * await client.cancelJob(await client.rebalance());
   */
  async cancelJob(jobId: string, options: namespace.CallSignal = {}): Promise<Job> {
    return jobs.cancel(this.#context, jobId, heard(options));
  }

  /**
   * Resolves when the job has ended, however; an abort ends only the waiting.
   *
   * @throws HoldfastError NOT_FOUND
   * @example
   * const job = await client.waitForJob(await client.scrub(), { signal: AbortSignal.timeout(60_000) });
   */
  async waitForJob(jobId: string, options: jobs.JobWaitOptions = {}): Promise<Job> {
    return jobs.wait(this.#context, jobId, heard(options));
  }

  /**
   * Announces that a keeper will be away for up to `durationMs` (a day at most) from now: it takes no new pieces and
   * is waited for, so that nothing is copied for it. 0 ends that.
   *
   * @throws HoldfastError NOT_FOUND, INVALID_ARGUMENT, also for a keeper that is dead already
   * @example
   * const [keeper] = await client.keepers();
   * await client.setMaintenance(keeper.keeperId, 30 * 60_000);
   */
  async setMaintenance(
    keeperId: string,
    durationMs: number,
    options: namespace.CallSignal = {},
  ): Promise<void> {
    return jobs.setMaintenance(this.#context, keeperId, durationMs, heard(options));
  }

  /**
   * Forgets a keeper that is gone for good and of whose chunks every one has all its copies elsewhere.
   *
   * @throws HoldfastError NOT_FOUND, NOT_EMPTY
   * @example
   * const gone = (await client.keepers()).find(({ state }) => state === 'dead');
   * if (gone) await client.forgetKeeper(gone.keeperId);
   */
  async forgetKeeper(keeperId: string, options: namespace.CallSignal = {}): Promise<void> {
    return jobs.forget(this.#context, keeperId, heard(options));
  }

  /**
   * Ends the connection. What is in progress fails with its next call, and so does what is begun later, with
   * UNAVAILABLE that is not retryable. Safe to call twice. `await using` calls it at the end of the block.
   *
   * @example
   * await using own = await connect();
   * console.log((await own.stat('/')).type);
   */
  close(): void {
    this.#close();
  }

  /** So that `await using client = await connect()` closes it, however the block is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async #open(source: UploadSource, signal: AbortSignal | undefined): Promise<ChunkSource> {
    const memory = new MemoryShare(this.#context.memory);
    if (typeof source === 'string') return openLocalSource(checkLocalPath(source), memory, signal);
    if (source instanceof Uint8Array) return bytesSource(source);
    if (ArrayBuffer.isView(source)) {
      return bytesSource(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
    }
    if (isAnyArrayBuffer(source)) return bytesSource(new Uint8Array(source));
    if (source instanceof Blob) return blobSource(source);
    if (typeof source === 'object' && source !== null && Symbol.asyncIterator in source) {
      return streamSource(source, memory);
    }
    throw new HoldfastError(
      'INVALID_ARGUMENT',
      `the source must be a path, bytes, a Blob or a stream of bytes, not ${shown(source)}`,
    );
  }
}

/** @throws HoldfastError INVALID_ARGUMENT */
function checkFile(file: string | Entry): void {
  if (typeof file === 'object' && file !== null && Number.isSafeInteger(file.version)) splitPath(file.path);
  else splitPath(file as string);
}

/** What to ask the tracker for. @throws HoldfastError INVALID_ARGUMENT for what is neither a path nor an Entry */
function readTarget(file: string | Entry): LocateChunksRequest['target'] {
  if (typeof file === 'string') return { path: file };
  checkFile(file);
  // A directory has no version; by its path the tracker says what is wrong.
  return file.type === 'directory' ? { path: file.path } : { version: file.version };
}

/** As node:fs/promises has it, an encoding may stand for options that say nothing else. */
function isEncoding(options: unknown): options is BufferEncoding | null {
  return typeof options === 'string' || options === null;
}
