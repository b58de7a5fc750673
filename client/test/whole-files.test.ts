/** readFile, writeFile and Web Streams: what programs beside node:fs/promises and fetch expect. */
import { describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '@holdfast/shared/node';
import { HoldfastClient, type TransferProgress } from '../src/index.js';
import { FakeCluster } from './support/fake-cluster.js';

const MiB = 1024 * 1024;

function connected() {
  const cluster = new FakeCluster();
  return { cluster, client: new HoldfastClient(cluster.context(undefined, systemClock), () => undefined) };
}

const reads = ({ calls }: FakeCluster): number => calls.filter((call) => call.startsWith('read')).length;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate();
}

describe('readFile', () => {
  it('gives a Buffer of its own, or text, with one question to the tracker', async () => {
    const { cluster, client } = connected();
    const bytes = randomBytes(3 * MiB + 5);
    cluster.put('/file', bytes);
    const read = await client.readFile('/file');
    expect(read.equals(bytes)).toBe(true);
    expect(read.buffer.byteLength).toBe(bytes.length);
    expect(cluster.calls.filter((call) => !call.startsWith('read'))).toEqual(['locateChunks']);
    cluster.put('/text', Buffer.from('grüße'));
    const text: string = await client.readFile('/text', 'utf8');
    expect(text).toBe('grüße');
    expect(await client.readFile('/text', { encoding: 'base64' })).toBe(Buffer.from(text).toString('base64'));
    const raw: Buffer = await client.readFile('/text', null);
    expect(raw.toString()).toBe('grüße');
    expect(await client.readFile('/text', { encoding: null })).toEqual(raw);
    expect(await client.readFile(await client.stat('/text'))).toEqual(Buffer.from(text));
  });

  it('gives a range as it is cut at the end of the file', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', Buffer.from('0123456789'), 4);
    cluster.put('/empty', Buffer.alloc(0));
    expect(await client.readFile('/file', { start: 3, end: 6, encoding: 'latin1' })).toBe('3456');
    expect(await client.readFile('/file', { start: 8, end: 99, encoding: 'latin1' })).toBe('89');
    expect(await client.readFile('/file', { start: 10, encoding: 'latin1' })).toBe('');
    expect(await client.readFile('/file', { start: 20, end: 30 })).toHaveLength(0);
    expect(await client.readFile('/file', { start: 5, end: 4 })).toHaveLength(0);
    expect(await client.readFile('/empty')).toHaveLength(0);
  });

  it('refuses more than it may read before it reads any of it', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', randomBytes(1_000));
    await expect(client.readFile('/file', { maxBytes: 999 })).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      remedy: expect.stringContaining('maxBytes'),
    });
    expect(reads(cluster)).toBe(0);
    expect(await client.readFile('/file', { maxBytes: 1_000 })).toHaveLength(1_000);
    expect(await client.readFile('/file', { maxBytes: 10, start: 990 })).toHaveLength(10);
  });

  it('tells how far it is, as streams and downloads do', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', randomBytes(MiB));
    const told: TransferProgress[] = [];
    const onProgress = (progress: TransferProgress): void => void told.push(progress);
    await client.readFile('/file', { start: 10, onProgress });
    expect(told.at(-1)).toEqual({ transferredBytes: MiB - 10, totalBytes: MiB - 10 });
    for await (const _ of client.createReadStream('/file', { onProgress })) continue;
    expect(told.at(-1)).toEqual({ transferredBytes: MiB, totalBytes: MiB });
    for await (const _ of client.createReadableStream('/file', { end: 99, onProgress })) continue;
    expect(told.at(-1)).toEqual({ transferredBytes: 100, totalBytes: 100 });
  });
});

describe('writeFile', () => {
  it('replaces what is there, unless it is told not to', async () => {
    const { cluster, client } = connected();
    const first = await client.writeFile('/file', 'grüße');
    expect(cluster.content('/file')?.toString()).toBe('grüße');
    const second = await client.writeFile('/file', new Uint16Array([1, 2]));
    expect(cluster.content('/file')).toHaveLength(4);
    await expect(client.writeFile('/file', 'x', { overwrite: false })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    await expect(client.writeFile('/file', 'x', { expectedVersion: first.version })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    });
    await client.writeFile('/file', new Uint8Array([7]).buffer, { expectedVersion: second.version });
    expect([...cluster.content('/file')!]).toEqual([7]);
  });

  it('takes the encoding of a string as node:fs/promises does', async () => {
    const { cluster, client } = connected();
    for (const [encoding, bytes] of [
      ['utf8', 'é'],
      [null, 'é'],
      [{ encoding: null }, 'é'],
      [{ encoding: 'latin1', overwrite: true }, Buffer.from([0xe9])],
    ] as const) {
      await client.writeFile('/file', 'é', encoding);
      expect(cluster.content('/file')).toEqual(Buffer.from(bytes));
    }
    await client.writeFile('/file', Buffer.from('raw'), 'latin1');
    expect(cluster.content('/file')?.toString()).toBe('raw');
    await expect(client.writeFile('/file', 'x', 'utf9' as BufferEncoding)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('takes a small file in three calls', async () => {
    const { cluster, client } = connected();
    await client.writeFile('/file', 'small');
    expect(cluster.calls).toEqual(['beginUpload', 'write 1', 'commitUpload']);
  });
});

describe('a Blob as a source', () => {
  it('says its length, and a File when it was changed', async () => {
    const { cluster, client } = connected();
    const bytes = randomBytes(2 * MiB + 3);
    const told: TransferProgress[] = [];
    const onProgress = (progress: TransferProgress): void => void told.push(progress);
    await client.upload(new Blob([bytes]), '/blob', { chunkSizeBytes: MiB, onProgress });
    expect(cluster.content('/blob')?.equals(bytes)).toBe(true);
    expect(told.at(-1)).toEqual({ transferredBytes: bytes.length, totalBytes: bytes.length });
    await client.upload(new File([bytes], 'f', { lastModified: 1_234 }), '/a-file');
    expect(cluster.versions.get(2)?.entry.attributes).toEqual({ modifiedAtUnixMs: 1_234 });
  });

  it('is read again for another attempt, and refused when its file changed', async () => {
    const { cluster, client } = connected();
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-client-'));
    try {
      const bytes = randomBytes(MiB);
      await writeFile(join(folder, 'f'), bytes);
      const blob = await openAsBlob(join(folder, 'f'));
      cluster.keeper(1).faults.write = () => {
        cluster.keeper(1).faults = {};
        throw new Error('gone');
      };
      await client.upload(blob, '/blob').catch(() => client.upload(blob, '/blob'));
      expect(cluster.content('/blob')?.equals(bytes)).toBe(true);
      await writeFile(join(folder, 'f'), 'another');
      await expect(client.upload(blob, '/again')).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('a Web Stream of bytes', () => {
  it('goes into a Response, a loop, and readers with memory of their own', async () => {
    const { cluster, client } = connected();
    const bytes = randomBytes(2 * MiB + 77);
    cluster.put('/file', bytes);
    const whole = await new Response(client.createReadableStream('/file')).arrayBuffer();
    expect(Buffer.from(whole).equals(bytes)).toBe(true);

    const parts: Uint8Array[] = [];
    for await (const part of client.createReadableStream('/file', { start: 5, end: 104 })) parts.push(part);
    expect(Buffer.concat(parts).equals(bytes.subarray(5, 105))).toBe(true);

    const reader = client.createReadableStream('/file').getReader({ mode: 'byob' });
    const got: Uint8Array[] = [];
    for (let memory = new Uint8Array(100_001); ; memory = new Uint8Array(100_001)) {
      const { done, value } = await reader.read(memory);
      if (done) break;
      got.push(value);
    }
    expect(Buffer.concat(got).equals(bytes)).toBe(true);
  });

  it('asks for nothing before it is read, and stops the calls when it is cancelled', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', randomBytes(64 * MiB), 8 * MiB);
    const stopped: AbortSignal[] = [];
    for (const { faults } of cluster.keepers) {
      faults.read = (messages, _request, signal) => {
        stopped.push(signal);
        return messages;
      };
    }
    const stream = client.createReadableStream('/file');
    await setImmediate();
    expect(cluster.calls).toEqual([]);
    const reader = stream.getReader();
    await reader.read();
    await until(() => reads(cluster) === 3);
    // Its reader rests: no further segment is asked for.
    for (let turn = 0; turn < 50; turn += 1) await setImmediate();
    expect(reads(cluster)).toBe(3);
    await reader.cancel('enough');
    for (let turn = 0; turn < 50; turn += 1) await setImmediate();
    expect(reads(cluster)).toBe(3);
    expect(await reader.read()).toMatchObject({ done: true });
  });

  it('cancelled while its keepers are silent ends their calls', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', randomBytes(MiB));
    const signals: AbortSignal[] = [];
    for (const { faults } of cluster.keepers) {
      faults.read = async function* (_messages, _request, signal) {
        signals.push(signal);
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        );
        yield* [];
      };
    }
    const reader = client.createReadableStream('/file').getReader();
    const reading = reader.read();
    await until(() => signals.length > 0);
    await reader.cancel();
    expect(await reading).toMatchObject({ done: true });
    await until(() => signals.every(({ aborted }) => aborted));
  });

  it('fails with what went wrong, and with its signal', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', randomBytes(MiB));
    const missing = client.createReadableStream('/missing').getReader();
    await expect(missing.read()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const abort = new AbortController();
    const reader = client.createReadableStream('/file', { signal: abort.signal }).getReader();
    await reader.read();
    abort.abort();
    await expect(reader.closed).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('Web Streams as sources and targets', () => {
  it('a body goes up, and one file is piped to another', async () => {
    const { cluster, client } = connected();
    const bytes = randomBytes(3 * MiB + 1);
    await client.upload(new Response(bytes).body!, '/file', { chunkSizeBytes: MiB });
    expect(cluster.content('/file')?.equals(bytes)).toBe(true);
    const target = client.createWritableStream('/copy', { chunkSizeBytes: MiB });
    await client.createReadableStream('/file').pipeTo(target);
    expect(cluster.content('/copy')?.equals(bytes)).toBe(true);
    expect(await target.committed).toMatchObject({ sizeBytes: bytes.length });
  });

  it('a body of which the upload is refused is cancelled', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', Buffer.from('old'));
    let cancelled = false;
    const source = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
    await expect(client.upload(source, '/file')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(cancelled).toBe(true);
    const locked = new ReadableStream<Uint8Array>();
    locked.getReader();
    await expect(client.upload(locked, '/new')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('a target that is aborted leaves nothing visible', async () => {
    const { cluster, client } = connected();
    const stream = client.createWritableStream('/file');
    const writer = stream.getWriter();
    writer.closed.catch(() => undefined);
    await writer.write('half');
    await writer.abort('no');
    await expect(stream.committed).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(cluster.content('/file')).toBeUndefined();
    expect([...cluster.sessions.values()].filter(({ state }) => state !== 'aborted')).toEqual([]);
  });

  it('a target says what its upload failed with, to a writer that waits as well', async () => {
    const { cluster, client } = connected();
    cluster.put('/file', Buffer.from('old'));
    const source = new ReadableStream<Uint8Array>({ pull: (to) => to.enqueue(new Uint8Array(1_000)) });
    await expect(source.pipeTo(client.createWritableStream('/file'))).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    const stream = client.createWritableStream('not a path');
    await expect(stream.getWriter().write('x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(stream.committed).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
