/** A record as a line of JSON with a checksum of its own, for people to read and nobody to mangle unnoticed. */
import { crc32 } from 'node:zlib';

export function encodeRecord(record: object): Buffer {
  const crc = crc32(JSON.stringify(record));
  return Buffer.from(`${JSON.stringify({ ...record, crc32: crc })}\n`);
}

/** undefined for what is not as it was written. */
export function decodeRecord(bytes: Buffer): Record<string, unknown> | undefined {
  let record: unknown;
  try {
    record = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof record !== 'object' || record === null || !('crc32' in record)) return undefined;
  const { crc32: stated, ...rest } = record;
  return crc32(JSON.stringify(rest)) === stated ? rest : undefined;
}
