/**
 * CRC-32 (IEEE 802.3), by the fastest implementation that is installed. Every byte is checked at every hop, so
 * this is the one computation that all of them pass through: on the machine where it was measured
 * (docs/performance.md) Node's own takes 4 GB/s and @node-rs/crc32, an optional dependency, 10 GB/s.
 */
import { createRequire } from 'node:module';
import { crc32 as nodeCrc32 } from 'node:zlib';

type Crc32 = (data: Uint8Array, value?: number) => number;

let chosen: Crc32 | undefined;

/** The CRC-32 of `data`, or with `value` the one of the bytes that `value` stands for followed by `data`. */
export function crc32(data: Uint8Array, value = 0): number {
  // Loaded at the first use: a program that moves no bytes does not pay for it.
  chosen ??= nativeCrc32() ?? nodeCrc32;
  return chosen(data, value);
}

/** Undefined where it is not installed, has no build for this machine, or computes something else. */
function nativeCrc32(): Crc32 | undefined {
  try {
    const { crc32: native } = createRequire(import.meta.url)('@node-rs/crc32') as { crc32: Crc32 };
    const [head, tail] = [Buffer.from('12345'), Buffer.from('6789')];
    // The check value of the algorithm's catalogue entry.
    return native(tail, native(head, 0)) === 0xcb_f4_39_26 ? native : undefined;
  } catch {
    return undefined;
  }
}
