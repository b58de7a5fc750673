/** Clients that upload and read all the time, in a process of their own, and what they moved and could not. */
import { type HoldfastClient, connect } from '@holdfast/client';
import { serve } from '../children/serve.js';
import { seededBytes } from '../machine/files.js';
import { countBytes } from '../holdfast/reading.js';
import { chunkBytes, dataPath } from './layout.js';

/** Whole chunks, so that a piece has a known size; replaced again and again, so that they take bounded room. */
const uploadBytes = 4 * chunkBytes;
const uploadPaths = 3;

export interface LoadTotals {
  /** Of uploads that were acknowledged. */
  readonly uploadedBytes: number;
  readonly failedUploads: number;
  /** Of files that were read to their end, with the right length; the library verifies every block. */
  readonly readBytes: number;
  readonly failedReads: number;
  /** What the last failure said; '' for none. */
  readonly lastFailure: string;
}

const totals = { uploadedBytes: 0, failedUploads: 0, readBytes: 0, failedReads: 0, lastFailure: '' };
let working = false;
let work: Promise<unknown> = Promise.resolve();
let client: HoldfastClient;

async function upload(): Promise<void> {
  const bytes = seededBytes(7)(uploadBytes);
  for (let turn = 0; working; turn += 1) {
    try {
      await client.upload(bytes, `/load-${turn % uploadPaths}`, {
        overwrite: true,
        chunkSizeBytes: chunkBytes,
      });
      totals.uploadedBytes += bytes.length;
    } catch (error) {
      totals.failedUploads += 1;
      totals.lastFailure = String(error);
    }
  }
}

async function read(files: number, fileBytes: number): Promise<void> {
  for (let turn = 0; working; turn += 1) {
    try {
      const bytes = await countBytes(client.createReadStream(dataPath(turn % files)));
      if (bytes !== fileBytes) throw new Error(`${bytes} bytes came of ${fileBytes}`);
      totals.readBytes += bytes;
    } catch (error) {
      totals.failedReads += 1;
      totals.lastFailure = String(error);
    }
  }
}

const methods = {
  async begin(tracker: string, files: number, fileBytes: number): Promise<void> {
    client = await connect({ tracker });
    working = true;
    work = Promise.all([upload(), read(files, fileBytes)]);
  },
  async totals(): Promise<LoadTotals> {
    return { ...totals };
  },
  /** Resolves when what was begun has ended. */
  async end(): Promise<LoadTotals> {
    working = false;
    await work;
    client.close();
    return { ...totals };
  },
};
export type LoadMethods = typeof methods;
serve(methods);
