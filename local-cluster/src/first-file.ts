/** Proof that a cluster works: a file is stored and read back. */
import type { Cluster } from './cluster.js';

export interface FirstFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Copies of its only chunk when the upload returned, of how many wanted. */
  readonly copies: number;
  readonly wanted: number;
}

/**
 * Stores a small file and reads it back.
 *
 * @throws Error if other bytes come back; HoldfastError if none do
 */
export async function storeFirstFile(cluster: Cluster): Promise<FirstFile> {
  const path = '/hello.txt';
  const bytes = Buffer.from('Hello from Holdfast: these bytes are on several keepers.\n');
  const client = await cluster.connect();
  const { copies } = await client.upload(bytes, path, { overwrite: true });
  const parts: Uint8Array[] = [];
  for await (const part of client.createReadStream(path)) parts.push(part as Uint8Array);
  if (!Buffer.concat(parts).equals(bytes)) throw new Error(`${path} came back with other bytes`);
  await client.close();
  return { path, sizeBytes: bytes.length, copies: copies.fewest, wanted: copies.wanted };
}
