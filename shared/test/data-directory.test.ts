/** A data directory is made such that its name does not go with the power. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type FileSystem, makeDataDirectory } from '../src/index.js';
import { nodeFileSystem } from '../src/node/index.js';

let top: string;
beforeAll(async () => {
  top = await realpath(await mkdtemp(join(tmpdir(), 'holdfast-test-')));
});
afterAll(() => rm(top, { recursive: true }));

/** The machine's, with what is synced written down; `refuse` says what a sync fails with. */
function watched(refuse: (path: string) => string | undefined = () => undefined) {
  const synced: string[] = [];
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    async syncDirectory(path) {
      synced.push(path);
      const code = refuse(path);
      if (code !== undefined) throw Object.assign(new Error(code), { code });
      await nodeFileSystem.syncDirectory(path);
    },
  };
  return { fileSystem, synced };
}

/** Those above a path, up to where its file system begins. */
async function above(path: string): Promise<string[]> {
  const found: string[] = [];
  const { dev } = await stat(dirname(path));
  for (let at = dirname(path); (await stat(at)).dev === dev; at = dirname(at)) {
    found.push(at);
    if (dirname(at) === at) break;
  }
  return found;
}

describe('a data directory', () => {
  it('is made with those above it that are missing, and all names are synced', async () => {
    const path = join(top, 'a/b/c');
    const { fileSystem, synced } = watched();
    await makeDataDirectory(fileSystem, path);
    expect((await stat(path)).isDirectory()).toBe(true);
    expect(synced).toEqual(await above(path));
    expect(synced).toContain(top);
  });

  it('is synced when it was there: who made it may have ended before', async () => {
    const path = join(top, 'there');
    await makeDataDirectory(nodeFileSystem, path);
    const { fileSystem, synced } = watched();
    await makeDataDirectory(fileSystem, path);
    expect(synced).toEqual(await above(path));
  });

  it('is made by several at once', async () => {
    const path = join(top, 'd/e/f');
    await Promise.all([1, 2, 3].map(() => makeDataDirectory(nodeFileSystem, path)));
    expect((await stat(path)).isDirectory()).toBe(true);
  });

  it.each(['EACCES', 'EROFS', 'EINVAL'])('may be below one that gives %s', async (code) => {
    const path = join(top, code, 'data');
    const { fileSystem } = watched((synced) => (synced === top ? code : undefined));
    await expect(makeDataDirectory(fileSystem, path)).resolves.toBeUndefined();
  });

  it('may be below one that may not be looked at', async () => {
    const { fileSystem, synced } = watched();
    const stat: FileSystem['stat'] = async (path) => {
      if (path === top) throw Object.assign(new Error('EACCES'), { code: 'EACCES' });
      return nodeFileSystem.stat(path);
    };
    await makeDataDirectory(nodeFileSystem, join(top, 'hidden'));
    await makeDataDirectory({ ...fileSystem, stat }, join(top, 'hidden/data'));
    expect(synced).toEqual([join(top, 'hidden')]);
  });

  it.each([
    ['EIO', 'DISK_FAILED'],
    ['ENOSPC', 'OUT_OF_SPACE'],
  ])('is refused when a sync fails with %s', async (errno, code) => {
    const path = join(top, errno, 'data');
    const { fileSystem } = watched((synced) => (synced === top ? errno : undefined));
    await expect(makeDataDirectory(fileSystem, path)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`${path} is not durable: cannot sync ${top}:`),
    });
  });

  it('is refused where a file is', async () => {
    await writeFile(join(top, 'file'), '');
    await expect(makeDataDirectory(nodeFileSystem, join(top, 'file'))).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: expect.stringContaining(`cannot make the data directory ${join(top, 'file')}:`),
    });
    await expect(makeDataDirectory(nodeFileSystem, join(top, 'file/below'))).rejects.toMatchObject({
      code: process.platform === 'win32' ? 'ALREADY_EXISTS' : 'NOT_A_DIRECTORY',
    });
  });

  it('is refused where a link leads nowhere', async () => {
    const link = join(top, 'link');
    await symlink(join(top, 'nowhere'), link);
    await expect(makeDataDirectory(nodeFileSystem, link)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(`${link} is a link that leads nowhere`),
    });
  });
});
