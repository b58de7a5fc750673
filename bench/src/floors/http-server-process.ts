/**
 * A plain Node HTTP/1.1 service that stores files: a PUT is streamed into a file and synced before the answer, a
 * GET streams it (or a range of it) back. No checksums, no metadata, no retries: what the protocol and the disk cost by themselves.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { serve } from '../children/serve.js';

/** Node's own 64 KiB (and 16 KiB for writes) cost a turn of the thread pool each: a third more CPU time a byte. */
const streamBytes = 1024 * 1024;

/** Answers a GET with the file, or with what its Range header (first and last byte) names. */
async function send(path: string, { headers }: IncomingMessage, response: ServerResponse): Promise<void> {
  const { size } = await stat(path);
  const [, first = 0, last = size - 1] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  const [start, end] = [Number(first), Number(last)];
  response.setHeader('content-length', end - start + 1); // or Node frames every part by itself
  await pipeline(createReadStream(path, { highWaterMark: streamBytes, start, end }), response);
}

const methods = {
  /** Serves the files of `dataDir` on a port of loopback, which it resolves to. */
  async listen(dataDir: string, syncs: boolean): Promise<number> {
    const directory = await open(dataDir);
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const path = join(dataDir, basename(request.url ?? ''));
      if (request.method === 'PUT') {
        // `flush` syncs the file before it closes it, and the pipeline ends when it is closed.
        await pipeline(request, createWriteStream(path, { flush: syncs, highWaterMark: streamBytes }));
        if (syncs) await directory.sync();
      } else if (request.method === 'DELETE') await rm(path);
      else return send(path, request, response);
      response.end();
    };
    const server = createServer((request, response) => {
      answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  },
};
export type HttpServerMethods = typeof methods;
serve(methods);
