/**
 * A keeper's disk in memory, under a seed and on virtual time. It is as harsh as POSIX allows: at a power cut each thing
 * that was not synced survives or not by itself: names, sizes, and each page of what was written. Beside that it is slow
 * for a while, fills up, fails in the middle of a write, flips bits, and writes bytes of pieces where they do not belong.
 *
 * It outlives the processes that use it; each has a view of its own, which never answers once the process was killed.
 */
import { basename, dirname } from 'node:path/posix';
import {
  type Bytes,
  type FileSystem,
  type FileSystemSpace,
  type OpenDirectory,
  type OpenFile,
  type OpenMode,
  copyBytes,
} from '@holdfast/shared';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedProcess } from './simulated-process.js';

interface FileNode {
  readonly kind: 'file';
  content: Buffer;
  sizeBytes: number;
  /** As of the last sync; undefined for a file that was never synced. */
  durable: Buffer | undefined;
}

interface DirectoryNode {
  readonly kind: 'directory';
  entries: Map<string, Node>;
  /** As of the last sync. */
  durable: Map<string, Node>;
}

type Node = FileNode | DirectoryNode;

/** What an operation does to the disk, as far as faults tell them apart. */
type Operation = 'read' | 'write' | 'sync';

/** An operation of a disk that is well takes from the first to the second, in ms. */
const calmLatencyMs: readonly [number, number] = [0.02, 1];
/** Of a piece, also while it is written: below a name that begins with the chunk's id. */
const pieceFile = /\/[0-9a-f]{32}\.[^/]*$/;
/** What is about names and sizes is in the kernel's memory, and takes no time that counts, but for this share of it. */
const coldShare = 0.1;
/** What a kernel writes back at a time: all of a page is on the medium or nothing. */
const pageBytes = 4_096;
/** Of a file, the chance of each page that was not synced: often none or all, as most files are written back at once. */
const pagesLeft = [0, 0.5, 1] as const;

function errno(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

function newDirectory(): DirectoryNode {
  return { kind: 'directory', entries: new Map(), durable: new Map() };
}

function copyOf(node: FileNode): Buffer {
  return Buffer.from(node.content.subarray(0, node.sizeBytes));
}

export class SimulatedDisk {
  readonly #random: SeededRandom;
  #root = newDirectory();
  /** An operation takes from the first to the second, in ms. */
  latencyMs = calmLatencyMs;
  /** Rejects operations of this kind with this error. */
  failing: { readonly operation: Operation; readonly code: string } | undefined;
  freeBytes = 2 ** 39;
  /** The share of writes to pieces that land elsewhere in the file. */
  misdirected = 0;
  /** Says that it synced and does not: nothing that is built on it can keep its promises. */
  lies = false;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** As good as new, with what is on it. */
  mend(): void {
    this.latencyMs = calmLatencyMs;
    this.failing = undefined;
    this.freeBytes = 2 ** 39;
    this.misdirected = 0;
  }

  /** The power is gone: what was not synced survives or not. */
  losePower(): void {
    this.#forget(this.#root);
  }

  /** Another disk in its place, with nothing on it. */
  replace(): void {
    this.#root = newDirectory();
  }

  /** The files below a directory, as paths. */
  files(directory: string): string[] {
    const found = this.#find(directory);
    if (found?.kind !== 'directory') return [];
    return [...found.entries].flatMap(([name, node]) =>
      node.kind === 'file' ? [`${directory}/${name}`] : this.files(`${directory}/${name}`),
    );
  }

  contentOf(path: string): Buffer {
    const node = this.#file(path);
    return copyOf(node);
  }

  /** Flips one bit of a file, on the medium too. */
  flipBit(path: string): void {
    const node = this.#file(path);
    if (node.sizeBytes === 0) return;
    const at = this.#random.integer(0, node.sizeBytes - 1);
    const bit = 1 << this.#random.integer(0, 7);
    for (const bytes of [node.content, node.durable]) {
      if (bytes && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ bit;
    }
  }

  /** The disk as a process sees it. */
  viewOf(process: SimulatedProcess): FileSystem {
    const enter = (operation: Operation, path: string): Promise<void> =>
      this.#enter(process, operation, path);
    const glance = (operation: Operation, path: string): Promise<void> =>
      this.#glance(process, operation, path);
    const syncDirectory = async (path: string): Promise<void> => {
      // Nothing to be written: nothing to be waited for.
      if (isSynced(this.#directory(path))) await glance('sync', path);
      else await enter('sync', path);
      const directory = this.#directory(path);
      if (!isSynced(directory)) directory.durable = new Map(directory.entries);
    };
    return {
      open: async (path, mode) => {
        await enter(mode === 'create' ? 'write' : 'read', path);
        return this.#handle(this.#opened(path, mode), path, enter);
      },
      readFile: async (path) => {
        await enter('read', path);
        return this.contentOf(path);
      },
      rename: async (from, to) => {
        await enter('write', from);
        const source = this.#directory(dirname(from));
        const node = source.entries.get(basename(from));
        if (!node) throw errno('ENOENT', from);
        this.#directory(dirname(to)).entries.set(basename(to), node);
        source.entries.delete(basename(from));
      },
      unlink: async (path) => {
        await enter('write', path);
        const { entries } = this.#directory(dirname(path));
        const node = entries.get(basename(path));
        if (!node) throw errno('ENOENT', path);
        entries.delete(basename(path));
        if (node.kind === 'file') this.freeBytes += node.sizeBytes;
      },
      makeDirectory: async (path) => {
        await glance('write', path);
        const { entries } = this.#directory(dirname(path));
        if (entries.has(basename(path))) throw errno('EEXIST', path);
        entries.set(basename(path), newDirectory());
      },
      readDirectory: async (path) => {
        await glance('read', path);
        return [...this.#directory(path).entries.keys()];
      },
      stat: async (path) => {
        await glance('read', path);
        const node = this.#find(path);
        if (!node) return undefined;
        const isDirectory = node.kind === 'directory';
        return { sizeBytes: isDirectory ? 0 : node.sizeBytes, isDirectory, deviceId: 1 };
      },
      syncDirectory,
      openDirectory: async (path): Promise<OpenDirectory> => {
        await glance('read', path);
        this.#directory(path);
        return { sync: () => syncDirectory(path), close: () => Promise.resolve() };
      },
      space: async (path): Promise<FileSystemSpace> => {
        await glance('read', path);
        return { totalBytes: 2 ** 40, freeBytes: Math.max(0, this.freeBytes), freeFiles: Infinity };
      },
    };
  }

  #handle(
    node: FileNode,
    path: string,
    enter: (operation: Operation, path: string) => Promise<void>,
  ): OpenFile {
    return {
      read: async (target, targetOffset, length, position) => {
        await enter('read', path);
        const end = Math.min(position + length, node.sizeBytes);
        return end <= position ? 0 : node.content.copy(target, targetOffset, position, end);
      },
      write: async (data, position) => {
        const put = (bytes: Bytes, at: number): void => {
          grow(node, at + bytes.length);
          copyBytes(bytes, node.content, at);
        };
        // What was written before it failed is there.
        await enter('write', path).catch((error: unknown) => {
          put(data.subarray(0, this.#random.integer(0, data.length)), position);
          throw error;
        });
        const grows = Math.max(0, position + data.length - node.sizeBytes);
        const refused = Math.max(0, grows - Math.max(0, this.freeBytes));
        this.freeBytes -= grows - refused;
        const at = this.#isMisdirected(path) ? this.#random.integer(0, node.sizeBytes) : position;
        put(data.subarray(0, Math.max(0, data.length - refused)), at);
        if (refused > 0) throw errno('ENOSPC', path);
      },
      syncData: async () => {
        await enter('sync', path);
        if (!this.lies) node.durable = copyOf(node);
      },
      sizeBytes: async () => {
        await enter('read', path);
        return node.sizeBytes;
      },
      close: () => Promise.resolve(),
    };
  }

  #isMisdirected(path: string): boolean {
    return this.misdirected > 0 && pieceFile.test(path) && this.#random.chance(this.misdirected);
  }

  #opened(path: string, mode: OpenMode): FileNode {
    const node = this.#find(path);
    if (mode !== 'create') return this.#file(path);
    if (node) throw errno('EEXIST', path);
    const made: FileNode = { kind: 'file', content: Buffer.alloc(0), sizeBytes: 0, durable: undefined };
    this.#directory(dirname(path)).entries.set(basename(path), made);
    return made;
  }

  /** As an operation whose answer the kernel has in memory, most likely. */
  #glance(process: SimulatedProcess, operation: Operation, path: string): Promise<void> {
    const isKnown = this.latencyMs === calmLatencyMs && !this.failing && process.alive;
    return isKnown && !this.#random.chance(coldShare)
      ? Promise.resolve()
      : this.#enter(process, operation, path);
  }

  /** Each operation takes its time, and never ends for a process that was killed meanwhile. */
  async #enter(process: SimulatedProcess, operation: Operation, path: string): Promise<void> {
    const [least, most] = this.latencyMs;
    const tookMs = least + this.#random.fraction() * (most - least);
    await new Promise<void>((resolve) => process.after(tookMs, resolve));
    if (this.failing?.operation === operation) throw errno(this.failing.code, path);
  }

  #forget(node: Node): void {
    if (node.kind === 'file') {
      this.#tear(node);
      return;
    }
    const left = new Map<string, Node>();
    for (const name of new Set([...node.entries.keys(), ...node.durable.keys()])) {
      const [now, synced] = [node.entries.get(name), node.durable.get(name)];
      const kept = now === synced || this.#random.chance(0.5) ? now : synced;
      if (kept) left.set(name, kept);
    }
    node.entries = left;
    node.durable = new Map(left);
    for (const child of left.values()) this.#forget(child);
  }

  /** Its size is the synced or the latest one; a page that did not survive is what was synced, or empty. */
  #tear(node: FileNode): void {
    const synced = node.durable ?? Buffer.alloc(0);
    const latest = copyOf(node);
    const left = Buffer.alloc(this.#random.chance(0.5) ? latest.length : synced.length);
    const share = this.#random.pick(pagesLeft);
    for (let at = 0; at < left.length; at += pageBytes) {
      const from = this.#random.chance(share) ? latest : synced;
      from.subarray(at, at + pageBytes).copy(left, at);
    }
    node.content = left;
    node.sizeBytes = left.length;
    node.durable = Buffer.from(left);
  }

  #file(path: string): FileNode {
    const node = this.#find(path);
    if (!node) throw errno('ENOENT', path);
    if (node.kind !== 'file') throw errno('EISDIR', path);
    return node;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split('/')) {
      if (name === '') continue;
      if (node?.kind !== 'directory') return undefined;
      node = node.entries.get(name);
    }
    return node;
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path);
    if (!node) throw errno('ENOENT', path);
    if (node.kind !== 'directory') throw errno('ENOTDIR', path);
    return node;
  }
}

function isSynced({ entries, durable }: DirectoryNode): boolean {
  if (entries.size !== durable.size) return false;
  for (const [name, node] of entries) if (durable.get(name) !== node) return false;
  return true;
}

/** Makes room in memory, twice as much each time, so that appending stays cheap. */
function grow(node: FileNode, sizeBytes: number): void {
  if (sizeBytes > node.content.length) {
    const larger = Buffer.alloc(Math.max(sizeBytes, node.content.length * 2));
    node.content.copy(larger, 0, 0, node.sizeBytes);
    node.content = larger;
  }
  node.sizeBytes = Math.max(node.sizeBytes, sizeBytes);
}
