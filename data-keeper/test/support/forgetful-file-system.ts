/**
 * A file system in memory that forgets at a crash what was not synced: contents without syncData, and names
 * without syncDirectory of their directory. It is as harsh as POSIX allows: each unsynced thing survives or not
 * by itself, so a rename may leave both names or none. It also fails on demand, and fills up.
 */
import {
  type FileSystem,
  type FileSystemSpace,
  type OpenDirectory,
  type OpenFile,
  type OpenMode,
  copyBytes,
} from '@holdfast/shared';
import { basename, dirname } from 'node:path';

interface FileNode {
  readonly kind: 'file';
  content: Buffer;
  /** As of the last syncData; undefined for a file that was never synced. */
  durable: Buffer | undefined;
}

interface DirectoryNode {
  readonly kind: 'directory';
  entries: Map<string, Node>;
  /** As of the last syncDirectory. */
  durable: Map<string, Node>;
}

type Node = FileNode | DirectoryNode;

/** The operations that a test may count and make fail. */
export type Operation =
  | 'open'
  | 'read'
  | 'write'
  | 'syncData'
  | 'readFile'
  | 'rename'
  | 'unlink'
  | 'makeDirectory'
  | 'readDirectory'
  | 'stat'
  | 'syncDirectory'
  | 'openDirectory'
  | 'space';

/** Those that change what a crash leaves. */
const mutations: readonly Operation[] = [
  ...(['open', 'write', 'syncData', 'rename', 'unlink', 'makeDirectory', 'syncDirectory'] as const),
];

function errno(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

function newDirectory(): DirectoryNode {
  return { kind: 'directory', entries: new Map(), durable: new Map() };
}

export class ForgetfulFileSystem implements FileSystem {
  readonly #root = newDirectory();
  /** Answers `space`. */
  room: FileSystemSpace = { totalBytes: 2 ** 40, freeBytes: 2 ** 39, freeFiles: Infinity };
  openFiles = 0;
  openDirectories = 0;
  /** How often each operation was called. */
  readonly calls: Partial<Record<Operation, number>> = {};
  /** Called before each operation; what it throws is the operation's failure. */
  intercept: (operation: Operation, path: string) => void = () => undefined;

  /** Fails the n-th call (from 1, counted from now) of the operation and, if told so, all after it. */
  failAt(operation: Operation, n: number, code: string, andAfter = false): void {
    let seen = 0;
    this.intercept = (called) => {
      if (called !== operation) return;
      seen += 1;
      if (seen === n || (andAfter && seen > n)) throw errno(code, `injected into ${operation}`);
    };
  }

  /** From the n-th mutation on (counted from now), nothing happens any more: the power is gone. */
  losePowerAt(n: number): void {
    let seen = 0;
    this.intercept = (called) => {
      if (mutations.includes(called)) seen += 1;
      if (seen >= n) throw errno('EIO', 'the power is gone');
    };
  }

  /** The power comes back. `survives` decides for each thing that was not synced. */
  crash(survives: () => boolean = () => false): void {
    this.intercept = () => undefined;
    this.openFiles = 0;
    this.openDirectories = 0;
    this.#forget(this.#root, survives);
  }

  #forget(node: Node, survives: () => boolean): void {
    if (node.kind === 'file') {
      if (!survives()) node.content = Buffer.from(node.durable ?? Buffer.alloc(0));
      node.durable = Buffer.from(node.content);
      return;
    }
    const names = new Set([...node.entries.keys(), ...node.durable.keys()]);
    const left = new Map<string, Node>();
    for (const name of names) {
      const [now, synced] = [node.entries.get(name), node.durable.get(name)];
      const kept = now === synced || survives() ? now : synced;
      if (kept) left.set(name, kept);
    }
    node.entries = left;
    node.durable = new Map(left);
    for (const child of left.values()) this.#forget(child, survives);
  }

  /** Direct access for tests: the bytes of a file, to be changed in place. */
  contentOf(path: string): Buffer {
    const node = this.#find(path);
    if (node?.kind !== 'file') throw errno('ENOENT', path);
    return node.content;
  }

  /** Puts a file there, durably. */
  put(path: string, content: Buffer): void {
    const directory = this.#directory(dirname(path));
    const node: FileNode = { kind: 'file', content: Buffer.from(content), durable: Buffer.from(content) };
    directory.entries.set(basename(path), node);
    directory.durable.set(basename(path), node);
  }

  /** Every file's path, sorted. */
  paths(): string[] {
    const walk = (node: DirectoryNode, path: string): string[] =>
      [...node.entries].flatMap(([name, child]) =>
        child.kind === 'file' ? [`${path}/${name}`] : walk(child, `${path}/${name}`),
      );
    return walk(this.#root, '').sort();
  }

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    await this.#enter('open', path);
    let node = this.#find(path);
    if (mode === 'create') {
      if (node) throw errno('EEXIST', path);
      node = { kind: 'file', content: Buffer.alloc(0), durable: undefined };
      this.#directory(dirname(path)).entries.set(basename(path), node);
    }
    if (!node) throw errno('ENOENT', path);
    if (node.kind !== 'file') throw errno('EISDIR', path);
    this.openFiles += 1;
    return this.#handle(node, path);
  }

  #handle(node: FileNode, path: string): OpenFile {
    let open = true;
    const enter = async (operation: Operation): Promise<void> => {
      if (!open) throw errno('EBADF', path);
      await this.#enter(operation, path);
    };
    return {
      read: async (target, targetOffset, length, position) => {
        await enter('read');
        return node.content.copy(target, targetOffset, position, position + length);
      },
      write: async (data, position) => {
        await enter('write');
        const end = position + data.length;
        if (end > node.content.length) {
          node.content = Buffer.concat([node.content, Buffer.alloc(end - node.content.length)]);
        }
        copyBytes(data, node.content, position);
      },
      syncData: async () => {
        await enter('syncData');
        node.durable = Buffer.from(node.content);
      },
      sizeBytes: async () => {
        await enter('stat');
        return node.content.length;
      },
      close: () => {
        if (open) this.openFiles -= 1;
        open = false;
        return Promise.resolve();
      },
    };
  }

  async readFile(path: string): Promise<Buffer> {
    await this.#enter('readFile', path);
    return Buffer.from(this.contentOf(path));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#enter('rename', from);
    const source = this.#directory(dirname(from));
    const node = source.entries.get(basename(from));
    if (!node) throw errno('ENOENT', from);
    this.#directory(dirname(to)).entries.set(basename(to), node);
    source.entries.delete(basename(from));
  }

  async unlink(path: string): Promise<void> {
    await this.#enter('unlink', path);
    if (!this.#directory(dirname(path)).entries.delete(basename(path))) throw errno('ENOENT', path);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#enter('makeDirectory', path);
    const parent = this.#directory(dirname(path));
    if (parent.entries.has(basename(path))) throw errno('EEXIST', path);
    parent.entries.set(basename(path), newDirectory());
  }

  async readDirectory(path: string): Promise<string[]> {
    await this.#enter('readDirectory', path);
    return [...this.#directory(path).entries.keys()];
  }

  async stat(
    path: string,
  ): Promise<{ sizeBytes: number; isDirectory: boolean; deviceId: number } | undefined> {
    await this.#enter('stat', path);
    const node = this.#find(path);
    if (!node) return undefined;
    const sizeBytes = node.kind === 'file' ? node.content.length : 0;
    return { sizeBytes, isDirectory: node.kind === 'directory', deviceId: 1 };
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#enter('syncDirectory', path);
    const directory = this.#directory(path);
    directory.durable = new Map(directory.entries);
  }

  async openDirectory(path: string): Promise<OpenDirectory> {
    await this.#enter('openDirectory', path);
    this.#directory(path);
    this.openDirectories += 1;
    return {
      sync: () => this.syncDirectory(path),
      close: () => {
        this.openDirectories -= 1;
        return Promise.resolve();
      },
    };
  }

  async space(path: string): Promise<FileSystemSpace> {
    await this.#enter('space', path);
    return this.room;
  }

  /** Every operation takes a turn of the loop, as real ones do: races that can be are. */
  async #enter(operation: Operation, path: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.calls[operation] = (this.calls[operation] ?? 0) + 1;
    this.intercept(operation, path);
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split('/').filter(Boolean)) {
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
