/** Uploads and downloads that were interrupted, and what the next one makes of what they left. */
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import {
  mkdtemp,
  open,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { HoldfastError, blockChecksum } from '@holdfast/shared';
import { systemClock, systemRandom } from '@holdfast/shared/node';
import { HoldfastClient } from '../src/client.js';
import type { ResumeNotice } from '../src/core/resume.js';
import { contentDigest } from '../src/local/content-digest.js';
import { ownPath } from '../src/local/owned-file.js';
import { isPartName } from '../src/local/part-file.js';
import type { AllocateChunksRequest, CommitUploadRequest } from '../src/ports/tracker-api.js';
import type { UploadOptions, UploadResult } from '../src/upload/upload.js';
import { FakeCluster } from './support/fake-cluster.js';

/** Directories are not synced there. */
const journalsNames = process.platform === 'win32';
const KiB = 1024;
const MiB = 1024 * KiB;
let dir: string;
let records: string;
let source: string;
let cluster: FakeCluster;
let notices: ResumeNotice[];
const onResume = (notice: ResumeNotice) => notices.push(notice);
const said = () => notices.map(({ kind }) => kind);
const connect = () => new HoldfastClient(cluster.context(undefined, systemClock), () => undefined);

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdfast-resume-'));
  records = join(dir, 'records');
  source = join(dir, 'source');
  cluster = new FakeCluster();
  notices = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('an upload', () => {
  const chunkSizeBytes = 64 * KiB;
  let bytes: Buffer;

  beforeEach(async () => {
    bytes = randomBytes(30 * chunkSizeBytes + 12_345);
    await writeFile(source, bytes);
  });

  const upload = (more: UploadOptions = {}) =>
    connect().upload(source, '/file', { chunkSizeBytes, resume: records, onResume, ...more });

  /** An upload that is ended when some half of the bytes were sent. */
  async function interrupted(more: UploadOptions = {}): Promise<void> {
    const abort = new AbortController();
    const onProgress: UploadOptions['onProgress'] = ({ transferredBytes }) => {
      if (transferredBytes > bytes.length / 2) abort.abort();
    };
    const uploading = upload({ ...more, onProgress, signal: abort.signal });
    await expect(uploading).rejects.toMatchObject({ code: 'CANCELLED' });
  }

  async function record(): Promise<string> {
    const [name = ''] = await readdir(records);
    return join(records, name);
  }

  /** The chunks that the record has receipts of. */
  async function recorded(): Promise<string[]> {
    const text = await readFile(await record(), 'utf8');
    return [...text.matchAll(/"chunkId":"([0-9a-f]{32})"/g)].map(([, id = '']) => id);
  }

  const shown = () => [...cluster.versions.values()].at(-1)!.extents.map(({ chunkId }) => chunkId);
  const written = () => cluster.calls.filter((call) => call.startsWith('write')).length;

  it('goes on where it was: every chunk with a receipt is in the file, and none is sent twice', async () => {
    await interrupted();
    const before = await recorded();
    expect(before.length).toBeGreaterThan(10);
    expect(said()).toEqual(['kept']);
    cluster.calls.length = 0;
    const progress: { transferredBytes: number; resumedBytes?: number }[] = [];
    const result = await upload({ onProgress: (now) => progress.push(now) });
    expect(result.resumedBytes).toBe(before.length * chunkSizeBytes);
    expect(result.contentDigest).toBe(await contentDigest(bytes));
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(shown()).toEqual(expect.arrayContaining(before));
    expect(written()).toBe(31 - before.length);
    expect(said()).toEqual(['kept', 'resumed']);
    expect(progress.at(-1)).toMatchObject({ transferredBytes: bytes.length });
    expect(progress.at(-1)!.resumedBytes).toBe(before.length * chunkSizeBytes);
    expect(await readdir(records)).toEqual([]);
  });

  it('is interrupted and gone on with many times, and sends what is on its way again at most', async () => {
    let sessions = 0;
    for (let at = 1; at <= 5; at += 1) {
      const abort = new AbortController();
      const onProgress: UploadOptions['onProgress'] = ({ transferredBytes }) => {
        if (transferredBytes > (bytes.length * at) / 6) abort.abort();
      };
      await upload({ onProgress, signal: abort.signal }).catch(() => undefined);
      sessions = Math.max(sessions, cluster.sessions.size);
    }
    await upload();
    expect(sessions).toBe(1);
    // Seven chunks are on their way at once.
    expect(written()).toBeLessThanOrEqual(31 + 5 * 7);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it.each([
    ['torn', (size: number) => size - 10],
    ['cut to its first line and a half', () => 1_500],
    ['cut in its first line', () => 40],
    ['empty', () => 0],
  ])('with a record that is %s stores the right bytes', async (_what, sizeOf) => {
    await interrupted();
    const path = await record();
    await truncate(path, sizeOf((await stat(path)).size));
    const result = await upload();
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(result.contentDigest).toBe(await contentDigest(bytes));
    expect(await readdir(records)).toEqual([]);
  });

  it('appends behind a torn line what the next one can read', async () => {
    await interrupted();
    const path = await record();
    await truncate(path, (await stat(path)).size - 10);
    const few = await recorded();
    const abort = new AbortController();
    let begun = false;
    const onProgress: UploadOptions['onProgress'] = ({ transferredBytes, resumedBytes = 0 }) => {
      begun ||= resumedBytes > 0;
      if (begun && transferredBytes > bytes.length * 0.8) abort.abort();
    };
    await upload({ onProgress, signal: abort.signal }).catch(() => undefined);
    const result = await upload();
    expect(result.resumedBytes).toBeGreaterThan(few.length * chunkSizeBytes);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('reads a record up to the first line that is not what was written', async () => {
    await interrupted();
    const path = await record();
    const lines = (await readFile(path, 'utf8')).split('\n');
    // One digit of the fifth chunk's id: it is still a line that makes sense.
    lines[5] = lines[5]!.replace(/"chunkId":"./, (start) =>
      start.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
    );
    await writeFile(path, lines.join('\n'));
    const result = await upload();
    expect(result.resumedBytes).toBe(4 * chunkSizeBytes);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('uses no chunk that stands where this file has none', async () => {
    await interrupted();
    const getUpload = cluster.tracker.getUpload.bind(cluster.tracker);
    let all = 0;
    cluster.tracker.getUpload = async (...asked) => {
      const page = await getUpload(...asked);
      all = page.sealed.length;
      return {
        ...page,
        sealed: page.sealed.map((chunk, n) => (n === 0 ? { ...chunk, fileOffset: 3 } : chunk)),
      };
    };
    const result = await upload();
    expect(result.resumedBytes).toBe((all - 1) * chunkSizeBytes);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('believes no checksums that are not those of the chunk', async () => {
    await interrupted();
    const path = await record();
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    const lied = lines.map((line) => {
      const json = line.slice(line.indexOf(' ') + 1).replace('"checksums":"', '"checksums":"AAAA');
      return `${blockChecksum(Buffer.from(json)).toString(16)} ${json}\n`;
    });
    await writeFile(path, lied.join(''));
    const result = await upload();
    expect(said()).toEqual(['kept', 'resumed']);
    expect(result.resumedBytes).toBeUndefined();
    expect(result.contentDigest).toBe(await contentDigest(bytes));
  });

  it.each([
    ['aborted', () => [...cluster.sessions.values()].forEach((session) => (session.state = 'aborted'))],
    ['forgotten', () => cluster.sessions.clear()],
  ])('begins anew when the session was %s', async (_what, end) => {
    await interrupted();
    end();
    const result = await upload();
    expect(said()).toEqual(['kept', 'session-over']);
    expect(result.resumedBytes).toBeUndefined();
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('begins anew when the source changed, and gives the old session up', async () => {
    await interrupted();
    const [old] = cluster.sessions.values();
    bytes = randomBytes(bytes.length);
    await writeFile(source, bytes);
    expect((await upload()).resumedBytes).toBeUndefined();
    expect(said()).toEqual(['kept', 'source-changed']);
    expect(old!.state).toBe('aborted');
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('leaves the record of another cluster alone', async () => {
    await interrupted();
    const first = cluster;
    cluster = new FakeCluster();
    cluster.status = { clusterId: 'd'.repeat(32) };
    await upload();
    cluster = first;
    expect((await upload()).resumedBytes).toBeGreaterThan(0);
  });

  it('has the answer to a commit that happened and was not heard of', async () => {
    const commits: CommitUploadRequest[] = [];
    cluster.after = (name) => {
      if (name === 'commitUpload') throw new HoldfastError('DEADLINE_EXCEEDED', 'no answer');
    };
    const { signal, abort } = abortable();
    cluster.before = (name, request) => {
      if (name !== 'commitUpload') return;
      commits.push(request as CommitUploadRequest);
      if (commits.length > 1) abort();
    };
    await expect(upload({ signal })).rejects.toMatchObject({ facts: { outcome: 'unknown' } });
    expect(cluster.versions.size).toBe(1);
    cluster.after = () => undefined;
    cluster.calls.length = 0;
    const result = await upload();
    expect(result).toMatchObject({ version: 1, resumedBytes: bytes.length });
    expect(result.contentDigest).toBe(await contentDigest(bytes));
    expect(cluster.calls).toEqual(['clusterStatus', 'getUpload', 'commitUpload']);
    const asked = ({ requestId, uploadId, files, skipRefused }: CommitUploadRequest) =>
      JSON.stringify({ requestId, uploadId, files, skipRefused });
    expect(asked(commits.at(-1)!)).toBe(asked(commits[0]!));
    expect(await readdir(records)).toEqual([]);
  });

  it('is looked at anew when nobody heard that its commit was refused, and what was in the way is gone', async () => {
    const { signal, abort } = abortable();
    let commits = 0;
    cluster.before = (name) => {
      if (name !== 'commitUpload') return;
      commits += 1;
      if (commits === 1) cluster.put('/file', Buffer.from('in the way'));
      else abort();
    };
    cluster.after = (name) => {
      if (name === 'commitUpload') throw new HoldfastError('DEADLINE_EXCEEDED', 'no answer');
    };
    await expect(upload({ signal })).rejects.toMatchObject({ facts: { outcome: 'unknown' } });
    cluster.paths.delete('/file');
    cluster.before = () => undefined;
    cluster.after = () => undefined;
    expect(await upload()).toMatchObject({ resumedBytes: bytes.length });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    expect(await readdir(records)).toEqual([]);
  });

  it('hears before it sends that the path was taken meanwhile', async () => {
    await interrupted();
    cluster.put('/file', Buffer.from('another'));
    cluster.calls.length = 0;
    await expect(upload()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(written()).toBe(0);
    expect(cluster.called('abortUpload')).toBe(1);
    expect(await readdir(records)).toEqual([]);
  });

  it('of two at once one is written down, and both store the file', async () => {
    let second: Promise<UploadResult> | undefined;
    const onProgress = () => {
      second ??= upload({ overwrite: true });
    };
    const first = await upload({ overwrite: true, onProgress });
    const results = [first, await second!];
    expect(results.map(({ version }) => version).sort()).toEqual([1, 2]);
    expect(said()).toEqual(['in-use']);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });

  it('takes over from a process that was killed, and not from one that runs', async () => {
    await interrupted();
    const path = await record();
    const gone = path.replace(/free-/, `${'0'.repeat(8)}-1-1-`);
    // Of another machine, and just written: it may be running.
    await rename(path, gone);
    expect((await upload()).resumedBytes).toBeUndefined();
    expect(said()).toEqual(['kept', 'in-use']);
    await rename(gone, path);
    expect((await upload({ overwrite: true })).resumedBytes).toBeGreaterThan(0);
  });

  it('takes over from a process whose number another one has by now', async () => {
    await interrupted();
    const path = await record();
    const host = await ownHost();
    // Started with the machine, which this process was not.
    await rename(path, path.replace(/free-/, `${host}-${process.pid}-1-`));
    expect((await upload()).resumedBytes).toBeGreaterThan(0);
  });

  it('leaves nothing behind when it is refused, when nothing is asked for, or when the file is small', async () => {
    cluster.put('/file', Buffer.from('there'));
    await expect(upload()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(await readdir(records)).toEqual([]);
    await rm(records, { recursive: true });
    await interrupted({ resume: false, overwrite: true });
    await upload({ overwrite: true, chunkSizeBytes: 2 * MiB });
    expect(await readdir(dir)).toEqual(['source']);
    expect(said()).toEqual([]);
  });

  it('goes without a record where none can be written, and says so', async () => {
    await writeFile(records, 'a file');
    expect((await upload()).version).toBe(1);
    expect(said()).toEqual(['not-recorded']);
  });

  const dayMs = 24 * 3_600_000;
  const leases = () => [...cluster.sessions.values()].map(({ leaseMs }) => leaseMs);

  it('asks for a long lease as soon as another process could go on with it, and keeps that', async () => {
    let known: boolean | undefined;
    cluster.before = async (name, request) => {
      if (name !== 'allocateChunks') return;
      const { uploadId } = request as AllocateChunksRequest;
      known ??=
        (await readFile(await record(), 'utf8')).includes(uploadId) && leases()[0] === cluster.leaseMs;
    };
    await interrupted();
    expect(known).toBe(true);
    expect(leases()).toEqual([dayMs]);
    // One that was killed before it could ask leaves it to the next.
    [...cluster.sessions.values()][0]!.leaseMs = cluster.leaseMs;
    expect((await upload()).resumedBytes).toBeGreaterThan(0);
    expect(leases()).toEqual([dayMs]);
  });

  describe('has its record on stable storage', () => {
    /** Whoever synced what; `refuse` says what a sync fails with. */
    async function watchSyncs(refuse: (what: string) => Error | undefined = () => undefined) {
      const handle = await open(dir);
      const prototype = Object.getPrototypeOf(handle) as typeof handle;
      await handle.close();
      const synced: string[] = [];
      const real = prototype.sync;
      const spy = jest.spyOn(prototype, 'sync').mockImplementation(async function (this: typeof handle) {
        const status = await this.stat();
        const what = status.isDirectory() ? 'directory' : `file${status.size > 0 ? '' : ' without a line'}`;
        const failure = refuse(what);
        if (failure) throw failure;
        await real.call(this);
        synced.push(what);
      });
      return { synced, end: () => spy.mockRestore() };
    }
    const failureOf = (code: string) => Object.assign(new Error(code), { code });

    it('before it asks for the long lease, and syncs it once', async () => {
      const { synced, end } = await watchSyncs();
      let before: string[] = [];
      cluster.before = (name) => {
        if (name === 'allocateChunks' && before.length === 0) before = [...synced];
      };
      try {
        await upload();
      } finally {
        end();
      }
      expect(before).toEqual(journalsNames ? ['file'] : ['directory', 'file', 'directory']);
      expect(synced).toEqual(before);
      expect(leases()).not.toContain(cluster.leaseMs);
    });

    it('with the names of the directories that were made for it', async () => {
      const { synced, end } = await watchSyncs();
      try {
        await upload({ resume: join(records, 'holdfast', 'uploads') });
      } finally {
        end();
      }
      const above = journalsNames ? [] : ['directory', 'directory', 'directory'];
      expect(synced.slice(0, above.length + 1)).toEqual([...above, 'file']);
    });

    it('or none, and no longer lease', async () => {
      const { synced, end } = await watchSyncs((what) => (what === 'file' ? failureOf('EIO') : undefined));
      try {
        await interrupted();
      } finally {
        end();
      }
      expect(synced).toEqual(journalsNames ? [] : ['directory']);
      expect(leases()).toEqual([cluster.leaseMs]);
      expect(await readdir(records)).toEqual([]);
    });

    it.each(['EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'])(
      'as far as its file system can: not where a sync is %s',
      async (code) => {
        const { end } = await watchSyncs(() => failureOf(code));
        try {
          await interrupted();
        } finally {
          end();
        }
        expect(leases()).toEqual([dayMs]);
        expect((await upload()).resumedBytes).toBeGreaterThan(0);
      },
    );
  });

  it('goes on where its record ends, when that could not be written any further', async () => {
    const handle = await open(dir);
    const prototype = Object.getPrototypeOf(handle) as { write: (line: Buffer) => Promise<unknown> };
    await handle.close();
    const real = prototype.write;
    let lines = 0;
    const writing = jest.spyOn(prototype, 'write').mockImplementation(async function (this: object, line) {
      lines += 1;
      if (lines !== 5) return real.call(this, line);
      await real.call(this, line.subarray(0, 20));
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    });
    try {
      await interrupted();
    } finally {
      writing.mockRestore();
    }
    expect((await upload()).resumedBytes).toBe(3 * chunkSizeBytes);
    expect(said()).toEqual(['kept', 'resumed']);
    expect(await readdir(records)).toEqual([]);
  });

  it('asks for no longer lease when its record could not be written', async () => {
    cluster.after = async (name) => {
      if (name !== 'beginUpload') return;
      await rm(records, { recursive: true });
      await writeFile(records, 'a file');
    };
    await upload();
    expect(leases()).toEqual([cluster.leaseMs]);
  });

  it('renews its short lease where the tracker gives no longer one', async () => {
    cluster.maxLeaseMs = 0;
    cluster.leaseMs = 300;
    let renewals = 0;
    let isRenewed = (): void => undefined;
    const renewed = new Promise<void>((resolve) => (isRenewed = resolve));
    cluster.before = (name, request) => {
      if (name === 'allocateChunks' && (request as AllocateChunksRequest).count === 0) renewals += 1;
      if (renewals > 3) isRenewed();
    };
    // Bytes move slowly: for longer than a lease.
    for (const { faults } of cluster.keepers) faults.write = () => renewed;
    const startedMs = performance.now();
    await upload();
    expect(renewals).toBeGreaterThan(3);
    // No more often than three times a lease, and not once for each chunk.
    expect(renewals).toBeLessThanOrEqual((performance.now() - startedMs) / 100 + 1);
    expect(leases()).toEqual([300]);
  });

  it('beside others of a transfer of many goes on too', async () => {
    const abort = new AbortController();
    const options = { chunkSizeBytes, resume: records, onResume, signal: abort.signal };
    const small = { source: Buffer.from('small'), path: '/small' };
    const sourceBytes = bytes.length;
    const onProgress: UploadOptions['onProgress'] = ({ transferredBytes }) => {
      if (transferredBytes > sourceBytes / 2) abort.abort();
    };
    const all = async (own: UploadOptions) => {
      const results = [];
      const files = [{ source, path: '/file' }, small];
      for await (const { result } of connect().uploadMany(files, { overwrite: true, ...own }))
        results.push(result);
      return results;
    };
    await all({ ...options, onProgress }).catch(() => undefined);
    const { signal: _, ...again } = options;
    const results = await all(again);
    expect(Math.max(...results.map((result) => result?.resumedBytes ?? 0))).toBeGreaterThan(0);
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
  });
});

describe('a download', () => {
  const size = 40 * MiB + 77;
  let bytes: Buffer;
  let target: string;

  beforeEach(() => {
    bytes = randomBytes(size);
    cluster.put('/file', bytes);
    target = join(dir, 'target');
  });

  const download = (more = {}) => connect().download('/file', target, { resume: true, onResume, ...more });
  const reads = () => cluster.calls.filter((call) => call.startsWith('read')).length;
  const parts = async () => (await readdir(dir)).filter(isPartName);

  async function interrupted(more = {}): Promise<void> {
    const { signal, abort } = abortable();
    const onProgress = ({ transferredBytes }: { transferredBytes: number }) => {
      if (transferredBytes > size / 2) abort();
    };
    const downloading = download({ ...more, onProgress, signal });
    await expect(downloading).rejects.toMatchObject({ code: 'CANCELLED' });
  }

  it('goes on where it was, and fetches anew what is not what it should be', async () => {
    await interrupted();
    const [part = ''] = await parts();
    expect(await readdir(dir)).toEqual([part]);
    const file = await open(join(dir, part), 'r+');
    await file.write(Buffer.from([bytes[100]! ^ 1]), 0, 1, 100);
    await file.close();
    const before = reads();
    const result = await download();
    expect(result.resumedBytes).toBeGreaterThan(15 * MiB);
    expect(result.resumedBytes).toBeLessThan(21 * MiB);
    // 41 chunks, less those that are there.
    expect(reads() - before).toBe(41 - result.resumedBytes! / MiB);
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect(said()).toEqual(['kept', 'resumed']);
    expect(await readdir(dir)).toEqual(['target']);
  });

  it('leaves nothing of what is behind the end of the file', async () => {
    await interrupted();
    const [part = ''] = await parts();
    const file = await open(join(dir, part), 'r+');
    await file.write(Buffer.from('of nobody'), 0, undefined, size);
    await file.close();
    expect((await download()).resumedBytes).toBeGreaterThan(0);
    expect((await readFile(target)).equals(bytes)).toBe(true);
  });

  it('begins anew with a version that came meanwhile', async () => {
    await interrupted();
    bytes = randomBytes(size);
    cluster.put('/file', bytes);
    expect((await download()).resumedBytes).toBeUndefined();
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect(said()).toEqual(['kept', 'source-changed']);
    expect(await readdir(dir)).toEqual(['target']);
  });

  it('of two at once each has a part of its own', async () => {
    await Promise.all([download({ overwrite: true }), download({ overwrite: true })]);
    expect((await readFile(target)).equals(bytes)).toBe(true);
    expect(await readdir(dir)).toEqual(['target']);
  });

  it('without it leaves nothing behind, and takes what was left away', async () => {
    await interrupted();
    await interrupted({ resume: false });
    expect(await readdir(dir)).toEqual([]);
    await interrupted();
    expect((await download({ resume: false })).resumedBytes).toBeUndefined();
    expect(await readdir(dir)).toEqual(['target']);
    expect((await readFile(target)).equals(bytes)).toBe(true);
  });

  it('does not follow a link that somebody put in the place of a part', async () => {
    await interrupted();
    const [part = ''] = await parts();
    const victim = join(dir, 'victim');
    await rename(join(dir, part), victim);
    await symlink(victim, join(dir, part));
    const before = await readFile(victim);
    expect((await download()).resumedBytes).toBeUndefined();
    expect((await readFile(victim)).equals(before)).toBe(true);
    expect((await readFile(target)).equals(bytes)).toBe(true);
  });
});

describe('what killed downloads left', () => {
  // No system has a process of this number.
  const dead = '99999999-1';
  const nameOf = (stem: string, label: string, process: string, host: string) =>
    `.${stem}.holdfast.${label}.${host}-${process}-01234567.part`;

  it.each(['download', 'downloadMany'] as const)(
    'goes with the next %s into the directory, but what is written, can be gone on with or is not ours stays',
    async (way) => {
      cluster.put('/small', Buffer.from('text'));
      const own = basename(
        await ownPath({ directory: dir, stem: '.b.holdfast', ending: 'part' }, '0', systemRandom),
      );
      const host = await ownHost();
      const kept = [
        own,
        nameOf('large', '7', dead, host),
        nameOf('far', '0', dead, '01234567'),
        'b.holdfast.0.part',
        '.a.part',
      ];
      const gone = [nameOf('a', '0', dead, host), nameOf('a.b.c', '0', dead, host)];
      for (const name of [...kept, ...gone]) {
        await writeFile(join(dir, name), 'half');
        // As a file has it that is about to be shown with the time of its version.
        await utimes(join(dir, name), 1_000, 1_000);
      }
      const client = connect();
      const target = join(dir, 'small');
      if (way === 'download') await client.download('/small', target);
      else {
        const files = [{ entry: await client.stat('/small'), localPath: target }];
        for await (const { error } of client.downloadMany(files)) expect(error).toBeUndefined();
      }
      expect((await readdir(dir)).sort()).toEqual([...kept, 'small'].sort());
    },
  );
});

/** What stands for this machine in the names of files that have an owner. */
async function ownHost(): Promise<string> {
  const path = await ownPath({ directory: dir, stem: 'any', ending: 'any' }, 'any', systemRandom);
  return basename(path).split('.').at(-2)?.split('-').at(0) ?? '';
}

function abortable(): { readonly signal: AbortSignal; abort(): void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
