/** Lines of files that are read from either end. A line ends with a newline, the last one of a file perhaps not. */
const newline = 10;
/** As much as one message of blocks has: what is asked for at a time when reading backwards. */
const stepBytes = 1024 * 1024;

/** The bytes of the first `count` lines. */
export async function* firstLines(
  bytes: AsyncIterable<Uint8Array>,
  count: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = count;
  if (left === 0) return;
  for await (const part of bytes) {
    let end = 0;
    while (left > 0) {
      const at = part.indexOf(newline, end);
      if (at < 0) break;
      end = at + 1;
      left -= 1;
    }
    if (left === 0) {
      yield part.subarray(0, end);
      return;
    }
    yield part;
  }
}

/**
 * Where the last `count` lines of a file begin, in bytes from its start.
 *
 * @param read the bytes from `start` up to `end`, `end` not included
 */
export async function startOfLastLines(
  sizeBytes: number,
  count: number,
  read: (start: number, end: number) => Promise<Uint8Array>,
): Promise<number> {
  if (count === 0) return sizeBytes;
  let left = count;
  for (let end = sizeBytes; end > 0;) {
    const start = Math.max(0, end - stepBytes);
    const part = await read(start, end);
    // The newline that ends the file ends its last line and begins none.
    let at = end === sizeBytes && part.at(-1) === newline ? part.length - 1 : part.length;
    while (at > 0) {
      at = part.lastIndexOf(newline, at - 1);
      if (at < 0) break;
      left -= 1;
      if (left === 0) return start + at + 1;
    }
    end = start;
  }
  return 0;
}
