/** A client of peers that speak HTTP, in a process of its own: whole files, a connection for each at a time. */
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { serve } from '../children/serve.js';
import { drain } from '../floors/http-requests.js';

/** Where a file is. */
export interface Place {
  readonly url: string;
  /** Whether that is somebody who answers, before any byte, with the place where to send or read them. */
  readonly redirects?: boolean;
}

interface Body {
  readonly stream: Readable;
  readonly sizeBytes: number;
}

/** Large enough that reading the file is not what an upload waits for. */
const readBytes = 1024 * 1024;
const temporaryRedirect = 307;

const agent = new Agent({ keepAlive: true });

async function ask(method: string, url: string, body?: Body): Promise<IncomingMessage> {
  const headers = body ? { 'content-length': body.sizeBytes } : {};
  const outgoing = request(url, { method, agent, headers });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).once('error', reject);
  });
  const sent = body ? pipeline(body.stream, outgoing) : outgoing.end();
  const [answer] = await Promise.all([answered, sent]);
  return answer;
}

/** @throws Error if the answer's status is not a success */
async function succeed(method: string, url: string, body?: Body): Promise<IncomingMessage> {
  const answer = await ask(method, url, body);
  const status = answer.statusCode ?? 0;
  if (status >= 200 && status < 300) return answer;
  throw new Error(`${method} ${url}: status ${status}: ${await text(answer)}`);
}

async function finalUrl(method: string, { url, redirects }: Place): Promise<string> {
  if (redirects !== true) return url;
  const answer = await ask(method, url);
  const said = await text(answer);
  const { location } = answer.headers;
  if (answer.statusCode === temporaryRedirect && location !== undefined) return location;
  throw new Error(`${method} ${url}: status ${answer.statusCode ?? '?'} and no place to go to: ${said}`);
}

async function get(place: Place): Promise<IncomingMessage> {
  return succeed('GET', await finalUrl('GET', place));
}

const methods = {
  async upload(localPath: string, place: Place): Promise<void> {
    const url = await finalUrl('PUT', place);
    const { size } = await stat(localPath);
    const stream = createReadStream(localPath, { highWaterMark: readBytes });
    await drain(await succeed('PUT', url, { stream, sizeBytes: size }));
  },
  /** Reads every byte and drops it; the number that came. */
  async download(place: Place): Promise<number> {
    return drain(await get(place));
  },
  async downloadToFile(place: Place, localPath: string, syncs: boolean): Promise<void> {
    await pipeline(await get(place), createWriteStream(localPath, { flush: syncs }));
  },
  async remove(url: string): Promise<void> {
    await drain(await succeed('DELETE', url));
  },
};
export type HttpFilesMethods = typeof methods;
serve(methods);
