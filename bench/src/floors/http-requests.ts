/** Requests to the plain HTTP service, over connections that are kept. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { finished } from 'node:stream/promises';
import type { Range } from '../contender.js';

const agent = new Agent({ keepAlive: true });

export interface Ask {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly port: number;
  readonly name: string;
  readonly body?: Buffer;
  readonly range?: Range;
}

/** Resolves when the answer begins. @throws Error if it is not a success */
export function ask({ method, port, name, body, range }: Ask): Promise<IncomingMessage> {
  const headers = range && { range: `bytes=${range.start}-${range.start + range.lengthBytes - 1}` };
  return new Promise((resolve, reject) => {
    const sent = request({
      agent,
      host: '127.0.0.1',
      port,
      method,
      path: `/${name}`,
      ...(headers && { headers }),
    });
    sent.once('response', (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`${method} ${name}: status ${response.statusCode ?? '?'}`));
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

/** Reads what is left of an answer and drops it; the number of bytes. `onFirst` is told of the first of them. */
export async function drain(response: IncomingMessage, onFirst?: () => void): Promise<number> {
  let bytes = 0;
  // Not iterated: a promise for each part would cost more than the part does.
  response.on('data', (part: Buffer) => {
    if (bytes === 0) onFirst?.();
    bytes += part.length;
  });
  await finished(response);
  return bytes;
}

/** Reads what is left of an answer. */
export async function readAll(response: IncomingMessage): Promise<Buffer> {
  return Buffer.concat((await response.toArray()) as Buffer[]);
}
