/** `client tree`: a directory with all that is below it, drawn. */
import { baseName, hasCode } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { Entry } from '../../ports/tracker-api.js';
import type { CommandContext, CommandSpec } from '../command.js';
import { withAllBelow } from '../entries.js';
import { flagValue, remotePath, wholeNumber } from '../flag-values.js';
import { countWords, sizeWords } from '../words.js';

export const treeCommand: CommandSpec = {
  name: 'tree',
  synopsis: '[REMOTE]',
  describe: 'Draw a directory with all that is below it (default: /)',
  details: 'With --json one document a line for each entry, as find has them.',
  options: {
    depth: {
      type: 'string',
      alias: 'L',
      requiresArg: true,
      describe: 'Go down so many levels',
      defaultDescription: 'all',
    },
    directories: { type: 'boolean', alias: 'd', describe: 'Only directories' },
    sizes: { type: 'boolean', alias: 's', describe: 'Also the sizes of files' },
  },
  examples: [['tree -L 2 /photos', 'two levels of it']],
  minPaths: 0,
  maxPaths: 1,
  async run(context) {
    const { paths, flags, report, signal, connect } = context;
    const { path } = remotePath(paths[0] ?? '/');
    const depth = flagValue(flags, 'depth', wholeNumber(1, 10_000)) ?? Infinity;
    const client = await connect();
    const wanted = ({ type }: Entry): boolean => type === 'directory' || !flags.isSet('directories');
    if (report.json) {
      for await (const entry of withAllBelow(client, path, { depth, signal })) {
        if (wanted(entry)) report.result('', entry);
      }
      return 0;
    }
    const top = await client.stat(path, { signal });
    report.result(report.name(path), top);
    const drawing = new Drawing(context, client, wanted);
    if (top.type === 'directory') await drawing.draw(client.list(path, { signal }), '', depth);
    const directories = drawing.directories === 1 ? '1 directory' : `${drawing.directories} directories`;
    const files = flags.isSet('directories') ? '' : `, ${countWords(drawing.files, 'file')}`;
    report.done(`${directories}${files}`, {});
    return 0;
  },
};

class Drawing {
  readonly #context: CommandContext;
  readonly #client: HoldfastClient;
  readonly #wanted: (entry: Entry) => boolean;
  directories = 0;
  files = 0;

  constructor(context: CommandContext, client: HoldfastClient, wanted: (entry: Entry) => boolean) {
    this.#context = context;
    this.#client = client;
    this.#wanted = wanted;
  }

  /** Draws as it reads: a line needs no more than to know whether another one follows at its level. */
  async draw(entries: AsyncGenerator<Entry, void, undefined>, indent: string, depth: number): Promise<void> {
    const { report, signal } = this.#context;
    let entry = await this.#next(entries);
    while (entry) {
      const following = await this.#next(entries);
      report.result(`${indent}${following ? '├── ' : '└── '}${this.#words(entry)}`, entry);
      if (entry.type === 'file') this.files += 1;
      else {
        this.directories += 1;
        const deeper = indent + (following ? '│   ' : '    ');
        if (depth > 1) await this.draw(this.#client.list(entry.path, { signal }), deeper, depth - 1);
      }
      entry = following;
    }
  }

  async #next(entries: AsyncGenerator<Entry, void, undefined>): Promise<Entry | undefined> {
    for (;;) {
      const entry = await entries.next().then(
        ({ value }) => value ?? undefined,
        (error: unknown) => {
          // A directory that has gone since its line was drawn has no more lines.
          if (hasCode(error, 'NOT_FOUND', 'NOT_A_DIRECTORY')) return undefined;
          throw error;
        },
      );
      if (!entry || this.#wanted(entry)) return entry;
    }
  }

  #words({ path, type, sizeBytes }: Entry): string {
    const { flags, report } = this.#context;
    const name = `${report.name(baseName(path))}${type === 'directory' ? '/' : ''}`;
    return flags.isSet('sizes') && type === 'file' ? `${name} (${sizeWords(sizeBytes)})` : name;
  }
}
