/**
 * Bytes in the parts that they came in. A message of 1 MiB arrives as some seventy slices of what the sockets
 * gave; checksums, files and sockets take slices as well as one buffer, so joining them would only be a copy.
 */
export class ByteParts {
  /** In order; none is empty. */
  readonly parts: readonly Uint8Array[];
  /** Of all parts, in bytes. */
  readonly length: number;

  constructor(parts: readonly Uint8Array[]) {
    this.parts = parts.filter((part) => part.length > 0);
    this.length = this.parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** The bytes from `start` to before `end`, over the same memory. */
  subarray(start = 0, end = this.length): ByteParts {
    if (start <= 0 && end >= this.length) return this;
    const parts: Uint8Array[] = [];
    let offset = 0;
    for (const part of this.parts) {
      const from = Math.max(0, start - offset);
      const to = Math.min(part.length, end - offset);
      if (from < to) parts.push(part.subarray(from, to));
      offset += part.length;
    }
    return new ByteParts(parts);
  }
}

/** Bytes in one buffer or in parts: both have a `length` and a `subarray`. */
export type Bytes = Uint8Array | ByteParts;

/** The parts of `bytes`, in order. */
export function partsOf(bytes: Bytes): readonly Uint8Array[] {
  return bytes instanceof ByteParts ? bytes.parts : [bytes];
}

/** Copies all of `bytes` into `target` at `offset`. @throws RangeError if it does not fit */
export function copyBytes(bytes: Bytes, target: Uint8Array, offset: number): void {
  let at = offset;
  for (const part of partsOf(bytes)) {
    target.set(part, at);
    at += part.length;
  }
}

/** All of `bytes` in one buffer; a copy only if they are in several parts. */
export function joinBytes(bytes: Bytes): Buffer {
  const parts = partsOf(bytes);
  const [only] = parts;
  if (only && parts.length === 1) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  return Buffer.concat(parts);
}
