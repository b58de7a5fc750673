/** Local files as sources and targets, on the real file system. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import {
  type FileHandle,
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteBudget } from '@holdfast/shared';
import { systemRandom } from '@holdfast/shared/node';
import { MemoryShare } from '../src/core/memory-share.js';
import { openLocalSource } from '../src/local/file-source.js';
import { openPartFile } from '../src/local/part-file.js';
import { runsInFlight } from '../src/ports/keeper-api.js';

const MiB = 1024 * 1024;
const signal = new AbortController().signal;
let dir = '';
let path = '';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-client-'));
  path = join(dir, 'file');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const source = () => openLocalSource(path, new MemoryShare(new ByteBudget(64 * MiB)));
const target = (overwrite = false, attributes = {}) =>
  openPartFile(path, attributes, overwrite, systemRandom);

describe('a file as a source', () => {
  it('reads each chunk as often as asked, in a few buffers', async () => {
    const bytes = randomBytes(6 * MiB + 10);
    await writeFile(path, bytes);
    const opened = await source();
    try {
      const chunk = await opened.next(5 * MiB, signal);
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const buffers = new Set<ArrayBufferLike>();
        const parts: Buffer[] = [];
        for await (const run of chunk!.runs()) {
          buffers.add(run.buffer);
          parts.push(Buffer.from(run));
        }
        expect(Buffer.concat(parts).equals(bytes.subarray(0, 5 * MiB))).toBe(true);
        expect(buffers.size).toBe(runsInFlight + 1);
      }
      expect((await opened.next(5 * MiB, signal))?.lengthBytes).toBe(MiB + 10);
      expect(await opened.next(5 * MiB, signal)).toBeUndefined();
      await expect(opened.checkUnchanged()).resolves.toBeUndefined();
    } finally {
      await opened.close();
    }
  });

  it.each<[string, () => Promise<void>]>([
    ['grew', () => appendFile(path, 'x')],
    ['was cut', () => truncate(path, 3)],
    ['was touched', () => utimes(path, new Date(1), new Date(1))],
  ])('sees that it %s', async (_what, change) => {
    await writeFile(path, 'contents');
    const opened = await source();
    await change();
    await expect(opened.checkUnchanged()).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
    await opened.close();
  });

  it('takes a read that comes short for a change', async () => {
    await writeFile(path, randomBytes(100));
    const opened = await source();
    const chunk = await opened.next(MiB, signal);
    await truncate(path, 50);
    const reading = (async () => {
      for await (const run of chunk!.runs()) expect(run.length).toBe(0);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
    await opened.close();
  });

  it('is refused with the reason when it cannot be read', async () => {
    await expect(source()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await mkdir(path);
    await expect(source()).rejects.toMatchObject({
      code: 'IS_A_DIRECTORY',
      remedy: expect.stringContaining('Name a file'),
    });
  });

  it('carries mode and modification time', async () => {
    await writeFile(path, 'x');
    await chmod(path, 0o640);
    await utimes(path, 1_000, 1_234.5);
    const opened = await source();
    expect(opened.attributes).toEqual({ modifiedAtUnixMs: 1_234_500, mode: 0o640 });
    await opened.close();
  });
});

describe('a file as a target', () => {
  it.each([-315_619_200_000, -1_500, -1, 0, 1, 1_734_886_692_056])(
    'keeps the time %i',
    async (modifiedAtUnixMs) => {
      const part = await target();
      await part.finish({ modifiedAtUnixMs });
      const { mtimeMs } = await stat(path, { bigint: true });
      expect(Number(mtimeMs)).toBe(modifiedAtUnixMs);
    },
  );

  it('appears whole, with its mode and time, and leaves nothing else', async () => {
    const part = await target(false, { mode: 0o4640 });
    await part.write(Buffer.from('world'), 6);
    await part.write(Buffer.from('hello '), 0);
    const [name] = await readdir(dir);
    expect(name).toMatch(/^\.file\.holdfast\.0\.[0-9a-f]{8}-\d+-\d+-[0-9a-f]{8}\.part$/);
    // A fraction less as seconds.
    const modifiedAtUnixMs = 1_734_886_692_056;
    await part.finish({ mode: 0o4640, modifiedAtUnixMs });
    expect(await readdir(dir)).toEqual(['file']);
    expect((await readFile(path)).toString()).toBe('hello world');
    const status = await stat(path);
    // Set-user-id is not restored.
    expect([status.mode & 0o7777, Math.floor(status.mtimeMs)]).toEqual([0o640, modifiedAtUnixMs]);
  });

  it('is on stable storage before it is seen', async () => {
    const part = await target();
    await part.write(Buffer.from('x'), 0);
    const other = await open(join(dir, 'other'), 'w');
    const handles = Object.getPrototypeOf(other) as FileHandle;
    await other.close();
    const { sync } = handles;
    const seen: string[][] = [];
    const syncing = jest.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
      await sync.call(this);
      seen.push((await readdir(dir)).sort());
    });
    await part.finish({}).finally(() => syncing.mockRestore());
    expect(seen).toEqual([[expect.stringMatching(/\.part$/), 'other']]);
    expect((await readdir(dir)).sort()).toEqual(['file', 'other']);
  });

  it('leaves nothing when it is discarded', async () => {
    const part = await target();
    await part.write(Buffer.from('x'), 0);
    await part.discard();
    expect(await readdir(dir)).toEqual([]);
  });

  it('never replaces what came meanwhile, unless told to', async () => {
    const part = await target();
    await writeFile(path, 'theirs');
    await expect(part.finish({})).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await part.discard();
    expect(await readdir(dir)).toEqual(['file']);
    await expect(target()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    const replacing = await target(true);
    await replacing.write(Buffer.from('ours'), 0);
    await replacing.finish({});
    expect((await readFile(path)).toString()).toBe('ours');
  });

  it('is replaced through a symbolic link', async () => {
    const real = join(dir, 'real');
    await writeFile(real, 'old');
    await symlink('real', path);
    const part = await target(true);
    await part.write(Buffer.from('new'), 0);
    await part.finish({});
    expect((await readFile(real)).toString()).toBe('new');
    expect((await readdir(dir)).sort()).toEqual(['file', 'real']);
  });

  it('takes names of 255 bytes', async () => {
    path = join(dir, 'é'.repeat(127) + 'x');
    const part = await target();
    await part.finish({});
    expect(await readdir(dir)).toEqual(['é'.repeat(127) + 'x']);
  });
});
