/** The product's client library in a process of its own, as a program that uses it would be. */
import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { connect, type HoldfastClient } from '@holdfast/client';
import { serve } from '../children/serve.js';
import { timed } from '../children/timed.js';
import type { Batch, MetadataCall, Range, RangeTimes, Transfer, TransferOptions } from '../contender.js';
import { sha256OfStream, smallContents } from '../machine/files.js';
import { makeMetadataPlace, metadataCall } from './metadata-calls.js';
import { countBytes, readRange } from './reading.js';

/** One, or in a process that stands for many programs several, with connections of their own. */
let clients: readonly HoldfastClient[] = [];
/** `minWrite` too: an upload is over when all copies are durable, so that contenders are compared alike. */
let copies = { replicas: 1, minWrite: 1 };

function first(): HoldfastClient {
  const [client] = clients;
  if (!client) throw new Error('not connected');
  return client;
}

/** Does `work` with every client at once; what each moved, and in which time. */
async function everyClient(
  work: (client: HoldfastClient, index: number) => Promise<number>,
): Promise<Transfer[]> {
  return Promise.all(
    clients.map(async (client, index) => {
      const startMs = performance.now();
      const bytes = await work(client, index);
      return { bytes, seconds: (performance.now() - startMs) / 1000 };
    }),
  );
}

/** As `upload -r` had it when every file was an upload of its own. */
const singlyAtOnce = 32;

const fileOf = (batch: Batch, index: number): string => `/${batch.name}/${index}`;

const methods = {
  async connect(tracker: string, replicas: number, count = 1): Promise<void> {
    copies = { replicas, minWrite: replicas };
    clients = await Promise.all(Array.from({ length: count }, () => connect({ tracker })));
  },

  async upload(localPath: string, path: string, { inFlight }: TransferOptions = {}): Promise<void> {
    await first().upload(localPath, path, {
      ...copies,
      ...(inFlight !== undefined && { concurrency: inFlight }),
    });
  },
  async download(path: string): Promise<number> {
    return countBytes(first().createReadStream(path));
  },
  async downloadToFile(path: string, localPath: string, { inFlight }: TransferOptions = {}): Promise<void> {
    const options = { overwrite: true, ...(inFlight !== undefined && { concurrency: inFlight }) };
    await first().download(path, localPath, options);
  },
  async digest(path: string): Promise<string> {
    return sha256OfStream(first().createReadStream(path));
  },
  async remove(path: string): Promise<void> {
    await first().remove(path);
  },

  async uploadMany(batch: Batch): Promise<Float64Array> {
    const client = first();
    const contents = smallContents(batch.seed, batch.sizeBytes);
    await client.makeDirectory(`/${batch.name}`);
    return timed(batch.count, batch.inFlight, async (index) => {
      await client.upload(contents(index), fileOf(batch, index), copies);
    });
  },
  async downloadMany(batch: Batch): Promise<Float64Array> {
    return timed(batch.count, batch.inFlight, async (index) => {
      const bytes = await countBytes(first().createReadStream(fileOf(batch, index)));
      if (bytes !== batch.sizeBytes) throw new Error(`file ${index} came back with ${bytes} bytes`);
    });
  },
  async verifyMany(batch: Batch): Promise<void> {
    const contents = smallContents(batch.seed, batch.sizeBytes);
    await timed(batch.count, batch.inFlight, async (index) => {
      const found = await first().createReadStream(fileOf(batch, index)).toArray();
      if (!Buffer.concat(found as Buffer[]).equals(contents(index)))
        throw new Error(`file ${index} came back with other bytes`);
    });
  },

  async uploadTreeSingly(localDir: string, path: string): Promise<void> {
    const entries = await readdir(localDir, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => relative(localDir, join(parentPath, name)));
    await timed(files.length, singlyAtOnce, async (index) => {
      const file = files[index] ?? '';
      await first().upload(join(localDir, file), `${path}/${file}`, { ...copies, createParents: true });
    });
  },

  async readRanges(path: string, ranges: readonly Range[], inFlight: number): Promise<RangeTimes> {
    const firstByteMs = new Float64Array(ranges.length);
    const lastByteMs = await timed(ranges.length, inFlight, async (index) => {
      const range = ranges[index] ?? { start: 0, lengthBytes: 0 };
      firstByteMs[index] = await readRange(first(), path, range);
    });
    return { firstByteMs, lastByteMs };
  },
  async digestRanges(path: string, ranges: readonly Range[]): Promise<string> {
    async function* bytes(): AsyncGenerator<unknown> {
      for (const { start, lengthBytes } of ranges) {
        yield* first().createReadStream(path, { start, end: start + lengthBytes - 1 });
      }
    }
    return sha256OfStream(bytes());
  },

  async makeMetadataPlace(): Promise<void> {
    await makeMetadataPlace(first());
  },
  async callMany(call: MetadataCall, count: number, inFlight: number): Promise<Float64Array> {
    return timed(count, inFlight, metadataCall(first(), call));
  },

  /** Each client its own file, numbered from `firstNumber`. */
  async uploadEach(localPath: string, path: string, firstNumber: number): Promise<Transfer[]> {
    return everyClient(async (client, index) => {
      const { sizeBytes } = await client.upload(localPath, `${path}-${firstNumber + index}`, copies);
      return sizeBytes;
    });
  },
  async downloadEach(path: string, firstNumber: number): Promise<Transfer[]> {
    return everyClient((client, index) =>
      countBytes(client.createReadStream(`${path}-${firstNumber + index}`)),
    );
  },
};
export type ClientMethods = typeof methods;
serve(methods);
