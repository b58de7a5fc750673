/** The floor under every copy in Node: Buffer.copy in blocks of 1 MiB. */

/** As large as the product's messages. */
const blockBytes = 1024 * 1024;
/** Far larger than any cache of a processor, so that it is memory that is copied. */
const areaBytes = 256 * blockBytes;

/** Copies so many bytes (rounded up to a block) from one area of memory to another; the clock is the caller's. */
export function memoryCopier(bytes: number): () => void {
  const from = Buffer.alloc(areaBytes, 1);
  const to = Buffer.alloc(areaBytes, 2);
  return () => {
    for (let done = 0; done < bytes; done += blockBytes) {
      const start = done % areaBytes;
      from.copy(to, start, start, start + blockBytes);
    }
  };
}
