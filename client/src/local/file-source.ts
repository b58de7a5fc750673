/**
 * A local file as a source. It is read at positions, straight before sending, a message at a time, so memory
 * does not grow with the file or the chunk; a retry reads again.
 *
 * What it answers: a file that changes while it is uploaded would become a version that never existed. Size and
 * modification time are compared before the commit, and a read that comes short is taken for a change.
 */
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { HoldfastError, fromErrno, limits } from '@holdfast/shared';
import type { MemoryShare } from '../core/memory-share.js';
import { orAborted } from '../core/signals.js';
import { runsInFlight } from '../ports/keeper-api.js';
import type { FileAttributes } from '../ports/tracker-api.js';
import type { ChunkSource, SourceChunk } from '../upload/chunk-source.js';
import { streamSource } from '../upload/stream-source.js';

// By their numbers, not as FileHandles: those cost twice as much, and a tree of small files is made of these calls.
const open = promisify(fs.open);
const read = promisify(fs.read);
const close = promisify(fs.close);

/** Buffers of a chunk that is being sent: those the call may hold, and the one that is being filled. */
const buffersPerChunk = runsInFlight + 1;

/**
 * Opens what is at `path`. Pipes, devices and files that say they are empty and are not (`/proc`) are read as
 * streams. Opening a pipe waits for whoever writes to it, until `signal` is aborted.
 *
 * @throws HoldfastError NOT_FOUND, PERMISSION_DENIED, IS_A_DIRECTORY, CANCELLED …
 */
export async function openLocalSource(
  path: string,
  memory: MemoryShare,
  signal?: AbortSignal,
): Promise<ChunkSource> {
  const shown = JSON.stringify(path);
  let handle: number;
  const opening = open(path, 'r');
  try {
    handle = await orAborted(opening, signal);
  } catch (error) {
    // Should it be opened after all.
    void opening.then(close).catch(() => undefined);
    throw fromErrno(error, `cannot read ${shown}`);
  }
  try {
    const state = stateOf(handle);
    if (state.isDirectory) {
      throw new HoldfastError('IS_A_DIRECTORY', `${shown} is a directory`, {
        remedy: 'Name a file, not a directory.',
      });
    }
    if (state.isFile && (state.sizeBytes > 0 || !(await hasBytes(handle)))) {
      return new FileSource(path, handle, state, memory);
    }
    const stream = fs.createReadStream(path, { fd: handle, highWaterMark: limits.messageDataBytes });
    return streamSource(stream, memory);
  } catch (error) {
    await close(handle);
    throw fromErrno(error, `cannot read ${shown}`);
  }
}

interface FileState {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly sizeBytes: number;
  /** In nanoseconds: a change within the same millisecond is one too. */
  readonly modifiedAtNs: bigint;
  readonly attributes: FileAttributes;
  /** All that changes with the bytes. */
  readonly marks: readonly bigint[];
}

/** Waits for no disk: what is asked of an open file is in memory, and a thread for it would cost ten times as much. */
function stateOf(handle: number): FileState {
  const status = fs.fstatSync(handle, { bigint: true });
  return {
    isFile: status.isFile(),
    isDirectory: status.isDirectory(),
    sizeBytes: Number(status.size),
    modifiedAtNs: status.mtimeNs,
    marks: [status.dev, status.ino, status.size, status.mtimeNs, status.ctimeNs],
    attributes: { modifiedAtUnixMs: Number(status.mtimeMs), mode: Number(status.mode & 0o7777n) },
  };
}

async function hasBytes(handle: number): Promise<boolean> {
  return (await read(handle, Buffer.alloc(1), 0, 1, 0)).bytesRead > 0;
}

class FileSource implements ChunkSource {
  readonly sizeBytes: number;
  readonly attributes: FileAttributes;
  readonly #path: string;
  readonly #handle: number;
  readonly #state: FileState;
  readonly #memory: MemoryShare;
  /** They end before the file is closed: its number may be another file's right after. */
  readonly #reads = new Set<Promise<unknown>>();
  #position = 0;

  constructor(path: string, handle: number, state: FileState, memory: MemoryShare) {
    this.#path = path;
    this.#handle = handle;
    this.#state = state;
    this.#memory = memory;
    this.sizeBytes = state.sizeBytes;
    this.attributes = state.attributes;
  }

  get identity(): { readonly path: string; readonly state: string } {
    return { path: this.#path, state: this.#state.marks.join(':') };
  }

  skip(lengthBytes: number): void {
    this.#position += lengthBytes;
  }

  async next(maxBytes: number, signal: AbortSignal): Promise<SourceChunk | undefined> {
    const fileOffset = this.#position;
    const lengthBytes = Math.min(maxBytes, this.sizeBytes - fileOffset);
    if (lengthBytes <= 0) return undefined;
    this.#position += lengthBytes;
    const runBytes = Math.min(limits.messageDataBytes, lengthBytes);
    const release = await this.#memory.take(runBytes * buffersPerChunk, signal);
    return { fileOffset, lengthBytes, runs: () => this.#runs(fileOffset, lengthBytes, runBytes), release };
  }

  async readWhole(target: Uint8Array): Promise<void> {
    await this.#readFully(target, 0);
    await this.checkUnchanged();
  }

  async checkUnchanged(): Promise<void> {
    const now = stateOf(this.#handle);
    if (now.sizeBytes !== this.#state.sizeBytes || now.modifiedAtNs !== this.#state.modifiedAtNs) {
      throw this.#changed();
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#reads);
    await close(this.#handle);
  }

  async *#runs(fileOffset: number, lengthBytes: number, runBytes: number): AsyncGenerator<Uint8Array> {
    const buffers: Buffer[] = [];
    for (let sent = 0, turn = 0; sent < lengthBytes; sent += runBytes, turn += 1) {
      // In turn: by the contract of `runs` the oldest one is free again.
      const buffer = (buffers[turn % buffersPerChunk] ??= Buffer.allocUnsafeSlow(runBytes));
      const run = buffer.subarray(0, Math.min(runBytes, lengthBytes - sent));
      await this.#readFully(run, fileOffset + sent);
      yield run;
    }
  }

  async #readFully(target: Uint8Array, position: number): Promise<void> {
    for (let filled = 0; filled < target.length;) {
      const bytesRead = await this.#read(target.subarray(filled), position + filled);
      if (bytesRead === 0) throw this.#changed();
      filled += bytesRead;
    }
  }

  async #read(target: Uint8Array, position: number): Promise<number> {
    const reading = read(this.#handle, target, 0, target.length, position);
    this.#reads.add(reading);
    try {
      return (await reading).bytesRead;
    } catch (error) {
      throw fromErrno(error, `cannot read ${JSON.stringify(this.#path)}`);
    } finally {
      this.#reads.delete(reading);
    }
  }

  #changed(): HoldfastError {
    return new HoldfastError(
      'SOURCE_CHANGED',
      `${JSON.stringify(this.#path)} changed while it was uploaded`,
      {
        remedy: 'Nothing was stored. Upload it again when nobody writes to it, or upload a snapshot of it.',
        facts: { path: this.#path },
      },
    );
  }
}
