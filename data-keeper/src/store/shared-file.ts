/**
 * An open file that several hold: the writer of a piece and those who follow it. It is closed when the last one
 * lets go, so that no reader finds its descriptor used for another file.
 */
import type { OpenFile } from '@holdfast/shared';

export class SharedFile {
  readonly file: OpenFile;
  #holders = 1;

  /** The caller is the first holder. */
  constructor(file: OpenFile) {
    this.file = file;
  }

  /** One more holder; the result lets go and may be called more than once. */
  hold(): () => Promise<void> {
    this.#holders += 1;
    let held = true;
    return async () => {
      if (!held) return;
      held = false;
      await this.release();
    };
  }

  /** The first holder lets go, once. */
  async release(): Promise<void> {
    this.#holders -= 1;
    if (this.#holders === 0) await this.file.close();
  }
}
