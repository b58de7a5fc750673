/**
 * The client of the plain HTTP service: reads the file once, in pieces as long as the product's chunks, and sends
 * each to all servers side by side, as many pieces at once as the product has chunks in flight.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import pLimit from 'p-limit';
import { serve } from '../children/serve.js';
import { timed } from '../children/timed.js';
import type { Batch, Range, RangeTimes, TransferOptions } from '../contender.js';
import { smallContents } from '../machine/files.js';
import { ask, drain, readAll } from './http-requests.js';

/** The product's defaults: chunks of 16 MiB, 4 in flight. */
const pieceBytes = 16 * 1024 * 1024;
const piecesInFlight = 4;
/** As the service does, and for the same reason. */
const writeBytes = 1024 * 1024;

let ports: readonly number[] = [];

/** To all servers, side by side. */
async function send(method: 'PUT' | 'DELETE', name: string, body: Buffer): Promise<void> {
  await Promise.all(ports.map(async (port) => drain(await ask({ method, port, name, body }))));
}

/** From one server, each in its turn. */
function get(name: string, turn: number, range?: Range): Promise<IncomingMessage> {
  return ask({ method: 'GET', port: ports[turn % ports.length] ?? 0, name, ...(range && { range }) });
}

const pieceName = (name: string, piece: number): string => `${name}.${piece}`;
const fileName = (batch: Batch, index: number): string => `${batch.name}-${index}`;

/** Does `work` for each piece of a file, some at once. */
async function eachPiece(
  sizeBytes: number,
  work: (piece: number) => Promise<void>,
  inFlight = piecesInFlight,
): Promise<void> {
  const count = Math.ceil(sizeBytes / pieceBytes);
  await pLimit(inFlight).map(Array.from({ length: count }).keys(), work);
}

/** The parts of a range that are in one piece each. */
function* inPieces({
  start,
  lengthBytes,
}: Range): Generator<{ readonly piece: number; readonly range: Range }> {
  for (let at = start; at < start + lengthBytes;) {
    const piece = Math.floor(at / pieceBytes);
    const end = Math.min(start + lengthBytes, (piece + 1) * pieceBytes);
    yield { piece, range: { start: at - piece * pieceBytes, lengthBytes: end - at } };
    at = end;
  }
}

const methods = {
  async connect(to: readonly number[]): Promise<void> {
    ports = to;
  },

  async upload(localPath: string, name: string, { inFlight }: TransferOptions = {}): Promise<void> {
    const file = await open(localPath);
    const free: Buffer[] = [];
    const sendPiece = async (piece: number): Promise<void> => {
      const buffer = free.pop() ?? Buffer.allocUnsafeSlow(pieceBytes);
      const { bytesRead } = await file.read(buffer, 0, pieceBytes, piece * pieceBytes);
      await send('PUT', pieceName(name, piece), buffer.subarray(0, bytesRead));
      free.push(buffer);
    };
    try {
      await eachPiece((await file.stat()).size, sendPiece, inFlight);
    } finally {
      await file.close();
    }
  },
  /** Reads every byte of a file of `sizeBytes` and drops it; the number that came. */
  async download(name: string, sizeBytes: number): Promise<number> {
    let bytes = 0;
    await eachPiece(sizeBytes, async (piece) => {
      const pieceLength = await drain(await get(pieceName(name, piece), piece));
      bytes += pieceLength;
    });
    return bytes;
  },
  async downloadToFile(
    name: string,
    sizeBytes: number,
    localPath: string,
    syncs: boolean,
    { inFlight }: TransferOptions = {},
  ): Promise<void> {
    const file = await open(localPath, 'w');
    const fetchPiece = async (piece: number): Promise<void> => {
      const place = { flags: 'r+', start: piece * pieceBytes, highWaterMark: writeBytes };
      await pipeline(await get(pieceName(name, piece), piece), createWriteStream(localPath, place));
    };
    try {
      await eachPiece(sizeBytes, fetchPiece, inFlight);
      if (syncs) await file.sync();
    } finally {
      await file.close();
    }
  },
  async remove(name: string, sizeBytes: number): Promise<void> {
    await eachPiece(sizeBytes, (piece) => send('DELETE', pieceName(name, piece), Buffer.alloc(0)));
  },

  async uploadMany(batch: Batch): Promise<Float64Array> {
    const contents = smallContents(batch.seed, batch.sizeBytes);
    return timed(batch.count, batch.inFlight, (index) =>
      send('PUT', fileName(batch, index), contents(index)),
    );
  },
  async downloadMany(batch: Batch): Promise<Float64Array> {
    return timed(batch.count, batch.inFlight, async (index) => {
      const bytes = await drain(await get(fileName(batch, index), index));
      if (bytes !== batch.sizeBytes) throw new Error(`file ${index} came back with ${bytes} bytes`);
    });
  },
  async verifyMany(batch: Batch): Promise<void> {
    const contents = smallContents(batch.seed, batch.sizeBytes);
    await timed(batch.count, batch.inFlight, async (index) => {
      const found = await readAll(await get(fileName(batch, index), index));
      if (!found.equals(contents(index))) throw new Error(`file ${index} came back with other bytes`);
    });
  },

  async readRanges(name: string, ranges: readonly Range[], inFlight: number): Promise<RangeTimes> {
    const firstByteMs = new Float64Array(ranges.length);
    const lastByteMs = await timed(ranges.length, inFlight, async (index) => {
      const startMs = performance.now();
      let bytes = 0;
      const wanted = ranges[index] ?? { start: 0, lengthBytes: 0 };
      for (const { piece, range } of inPieces(wanted)) {
        const response = await get(pieceName(name, piece), index, range);
        const partLength = await drain(response, () => (firstByteMs[index] ||= performance.now() - startMs));
        bytes += partLength;
      }
      if (bytes !== wanted.lengthBytes) throw new Error(`of ${wanted.lengthBytes} bytes came ${bytes}`);
    });
    return { firstByteMs, lastByteMs };
  },
  async digestRanges(name: string, ranges: readonly Range[]): Promise<string> {
    const hash = createHash('sha256');
    for (const wanted of ranges) {
      for (const { piece, range } of inPieces(wanted)) {
        hash.update(await readAll(await get(pieceName(name, piece), piece, range)));
      }
    }
    return hash.digest('hex');
  },
};
export type HttpClientMethods = typeof methods;
serve(methods);
