/** Bytes in any number of parts, at a position. */
import { describe, expect, it } from '@jest/globals';
import type { FileHandle } from 'node:fs/promises';
import { ByteParts } from '../../src/domain/bytes.js';
import { writeAll } from '../../src/node/write-all.js';

/** A file that takes at most `most` bytes at a time. */
function fileTaking(most: number): { handle: FileHandle; content: () => string } {
  const file = Buffer.alloc(5_000, '.');
  let end = 0;
  const handle = {
    async writev(parts: Uint8Array[], position: number) {
      const bytes = Buffer.concat(parts).subarray(0, most);
      file.set(bytes, position);
      end = position + bytes.length;
      return { bytesWritten: bytes.length };
    },
  };
  return { handle: handle as unknown as FileHandle, content: () => file.toString('latin1', 0, end) };
}

describe('writeAll', () => {
  it('goes on after short writes, inside a part and between two', async () => {
    for (const most of [1, 2, 3, 4, 100]) {
      const { handle, content } = fileTaking(most);
      await writeAll(handle, new ByteParts(['ab', 'c', 'defg'].map((text) => Buffer.from(text))), 2);
      expect(content()).toBe('..abcdefg');
    }
  });

  it('writes more parts than one call takes', async () => {
    const { handle, content } = fileTaking(5_000);
    const text = Array.from({ length: 3_000 }, (_, index) => String(index % 10)).join('');
    await writeAll(handle, new ByteParts([...text].map((byte) => Buffer.from(byte))), 0);
    expect(content()).toBe(text);
  });

  it('has nothing to do for no bytes, and says that a file that takes none is full', async () => {
    await writeAll(fileTaking(0).handle, Buffer.alloc(0), 0);
    await expect(writeAll(fileTaking(0).handle, Buffer.from('a'), 0)).rejects.toMatchObject({
      code: 'ENOSPC',
    });
  });
});
