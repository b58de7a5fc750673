/** The two sides of a sync: a local directory and a remote one, each as what is copied from and as what is changed. */
import { lstat, mkdir, rm } from 'node:fs/promises';
import { HoldfastError, errnoOf, fromErrno, hasCode, joinPath } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import { localPathIn } from './local-names.js';
import type { IsExcluded } from './path-pattern.js';
import type { Tree } from './tree-pairs.js';
import {
  type LocalNode,
  type RemoteNode,
  type TreeNode,
  localTop,
  localTree,
  remoteNode,
  remoteTree,
} from './trees.js';

export interface Side<N extends TreeNode = TreeNode> {
  /** Without what is excluded. */
  tree(isExcluded?: IsExcluded): Tree<N>;
  /** What is at the top; undefined if nothing is. */
  top(): Promise<N | undefined>;
  /** The path of what has these names from the top down. @throws HoldfastError if this side cannot hold the names */
  placeOf(names: readonly string[]): string;
  /** Whether anything is there now. */
  has(names: readonly string[]): Promise<boolean>;
  /** Whether what is copied here makes the directories that it needs. */
  readonly makesParents: boolean;
  /** Makes it with what is missing above it; one that is there is fine. */
  makeDirectory(names: readonly string[]): Promise<void>;
  /** Removes it with all that is in it; what has gone already is fine. */
  remove(names: readonly string[]): Promise<void>;
}

export class LocalSide implements Side<LocalNode> {
  readonly makesParents = false;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  tree(isExcluded?: IsExcluded): Tree<LocalNode> {
    return localTree({ isExcluded });
  }

  async top(): Promise<LocalNode | undefined> {
    try {
      return await localTop(this.#path);
    } catch (error) {
      if (hasCode(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  placeOf(names: readonly string[]): string {
    return names.reduce((directory, name) => localPathIn(directory, name), this.#path);
  }

  async has(names: readonly string[]): Promise<boolean> {
    const path = this.placeOf(names);
    try {
      await lstat(path);
      return true;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return false;
      throw fromErrno(error, `cannot read ${JSON.stringify(path)}`);
    }
  }

  async makeDirectory(names: readonly string[]): Promise<void> {
    const path = this.placeOf(names);
    try {
      await mkdir(path, { recursive: true });
    } catch (error) {
      throw fromErrno(error, `cannot make the directory ${JSON.stringify(path)}`);
    }
  }

  async remove(names: readonly string[]): Promise<void> {
    const path = this.placeOf(names);
    try {
      // Of a symbolic link the link goes, not what it leads to.
      await rm(path, { recursive: true, force: true });
    } catch (error) {
      throw fromErrno(error, `cannot remove ${JSON.stringify(path)}`);
    }
  }
}

export class RemoteSide implements Side<RemoteNode> {
  readonly makesParents = true;
  readonly #client: HoldfastClient;
  readonly #path: string;
  readonly #signal: AbortSignal;

  constructor(client: HoldfastClient, path: string, signal: AbortSignal) {
    this.#client = client;
    this.#path = path;
    this.#signal = signal;
  }

  tree(isExcluded?: IsExcluded): Tree<RemoteNode> {
    return remoteTree(this.#client, this.#signal, isExcluded);
  }

  top(): Promise<RemoteNode | undefined> {
    return this.#at([]);
  }

  placeOf(names: readonly string[]): string {
    return names.reduce(joinPath, this.#path);
  }

  async has(names: readonly string[]): Promise<boolean> {
    return (await this.#at(names)) !== undefined;
  }

  async makeDirectory(names: readonly string[]): Promise<void> {
    const path = this.placeOf(names);
    if (path !== '/') await this.#client.makeDirectory(path, { parents: true, signal: this.#signal });
  }

  async remove(names: readonly string[]): Promise<void> {
    const options = { recursive: true, signal: this.#signal };
    await this.#client.remove(this.placeOf(names), options).catch((error: unknown) => {
      if (!hasCode(error, 'NOT_FOUND')) throw error;
    });
  }

  async #at(names: readonly string[]): Promise<RemoteNode | undefined> {
    try {
      return remoteNode(await this.#client.stat(this.placeOf(names), { signal: this.#signal }), names);
    } catch (error) {
      // What is below a file is not there.
      if (hasCode(error, 'NOT_FOUND', 'NOT_A_DIRECTORY')) return undefined;
      throw error;
    }
  }
}

/** @throws HoldfastError NOT_FOUND, NOT_A_DIRECTORY */
export async function directoryAt<N extends TreeNode>(side: Side<N>, what: string): Promise<N> {
  const top = await side.top();
  const shown = JSON.stringify(side.placeOf([]));
  if (!top) throw new HoldfastError('NOT_FOUND', `${what}: there is no directory ${shown}`);
  if (top.type === 'directory') return top;
  throw new HoldfastError('NOT_A_DIRECTORY', `${what}: ${shown} is not a directory`, {
    remedy: 'Name a directory; single files go by `client upload` and `client download`.',
  });
}
