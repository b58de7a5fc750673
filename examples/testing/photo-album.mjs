/**
 * The application under test: a photo album that keeps its photos in Holdfast. While the storage does not take a photo
 * it waits in a local folder, and nobody who adds one has to care.
 */
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export class PhotoAlbum {
  #client;
  #outbox;
  #patienceMs;

  /**
   * @param client of @holdfast/client
   * @param outbox a local folder for photos that wait
   * @param patienceMs how long a visitor may be kept waiting by the storage
   */
  constructor(client, outbox, patienceMs = 2_000) {
    this.#client = client;
    this.#outbox = outbox;
    this.#patienceMs = patienceMs;
  }

  /** Takes a photo in; says whether it is 'stored' or stored 'later'. */
  async add(name, bytes) {
    try {
      await this.#store(name, bytes);
      return 'stored';
    } catch {
      await mkdir(this.#outbox, { recursive: true });
      await writeFile(join(this.#outbox, name), bytes);
      return 'later';
    }
  }

  /** A photo, wherever it is now. Rejects with the storage's error (its `code` says which) if it cannot be had. */
  async photo(name) {
    const waiting = await readFile(join(this.#outbox, name)).catch(() => undefined);
    if (waiting) return waiting;
    const parts = [];
    const signal = AbortSignal.timeout(10_000);
    for await (const part of this.#client.createReadStream(`/photos/${name}`, { signal })) parts.push(part);
    return Buffer.concat(parts);
  }

  /** Stores what waits. Call it from time to time; how many photos still wait. */
  async flush() {
    const names = await readdir(this.#outbox).catch(() => []);
    let waiting = names.length;
    for (const name of names) {
      try {
        await this.#store(name, await readFile(join(this.#outbox, name)));
        await rm(join(this.#outbox, name));
        waiting -= 1;
      } catch {
        // It goes on waiting.
      }
    }
    return waiting;
  }

  /** Replaces, because an upload that was given up may have been stored all the same. */
  async #store(name, bytes) {
    const signal = AbortSignal.timeout(this.#patienceMs);
    await this.#client.upload(bytes, `/photos/${name}`, { createParents: true, overwrite: true, signal });
  }
}
