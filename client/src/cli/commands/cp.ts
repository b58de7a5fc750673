/** `client cp`: a second name for the same bytes, without moving one. */
import { HoldfastError } from '@holdfast/shared';
import type { HoldfastClient } from '../../client.js';
import type { Entry } from '../../ports/tracker-api.js';
import { Batch, unanswered } from '../batch.js';
import { filesAtOnce, forEachOf } from '../../core/for-each.js';
import { type CommandContext, type CommandSpec, dryRunOption } from '../command.js';
import { makeTop, notADirectory } from '../make-top.js';
import { excludeOption, excludeWords, excludedBy } from '../path-pattern.js';
import { globWords } from '../remote-globs.js';
import { refuseFileAt, refuseFileOver, refuseTopAt } from '../remote-refusals.js';
import { destinationsOf, expandSources, sourcesAndTarget } from '../remote-target.js';
import { type Pair, pairsOf } from '../tree-pairs.js';
import { type RemoteNode, remoteNode, remoteTree } from '../trees.js';
import { countWords } from '../words.js';

export const cpCommand: CommandSpec = {
  name: 'cp',
  synopsis: 'REMOTE… TARGET',
  describe: 'Copy files, and with -r directories, within the cluster',
  details:
    'Into TARGET if that is a directory or ends with "/", else as TARGET. No bytes are moved and none are stored ' +
    `twice: copies share them until one of the two is replaced. ${globWords} ${excludeWords}`,
  options: {
    recursive: { type: 'boolean', alias: 'r', describe: 'Also directories with all that is in them' },
    force: { type: 'boolean', alias: 'f', describe: 'Replace files that exist' },
    ...dryRunOption,
    ...excludeOption,
  },
  examples: [
    ['cp /report.txt /report-draft.txt', 'a file under a second name'],
    ['cp -r /photos /backup/', 'a whole directory into another one'],
  ],
  minPaths: 2,
  maxPaths: Infinity,
  async run(context) {
    const { paths, flags, report, signal, connect } = context;
    const typed = sourcesAndTarget(paths, 'copied');
    const client = await connect();
    const asked = await expandSources(client, typed, signal);
    const destinationOf = await destinationsOf(client, asked, signal);
    const batch = new Batch(report, unanswered);
    const copy = new Copy(context, client, batch);
    for (const source of asked.sources) {
      const take = async (): Promise<void> => {
        const entry = await client.stat(source.path, { signal });
        const destination = destinationOf(source);
        if (entry.type === 'file') return copy.file(entry, destination);
        if (flags.isSet('recursive')) return copy.directory(entry, destination);
        throw new HoldfastError('IS_A_DIRECTORY', `${JSON.stringify(source.path)} is a directory`, {
          remedy: 'Use -r to copy it with all that is in it.',
        });
      };
      await (asked.sources.length > 1 ? batch.run({ path: source.path }, signal, take) : take());
    }
    if (batch.files > 1 && !report.json)
      report.done(
        `${countWords(batch.files, 'file')} ${flags.isSet('dry-run') ? 'would be copied' : 'copied'}`,
        {},
      );
    return batch.exitStatus;
  },
};

/** A copy is as many rows for the tracker as the file has chunks: a terabyte is as much as 32 small files. */
const bytesOfLargeCopy = 2 ** 40;

function costOfCopy({ sizeBytes }: Entry): number {
  return Math.min(filesAtOnce, 1 + Math.floor((sizeBytes / bytesOfLargeCopy) * filesAtOnce));
}

class Copy {
  readonly #context: CommandContext;
  readonly #client: HoldfastClient;
  readonly #batch: Batch;

  constructor(context: CommandContext, client: HoldfastClient, batch: Batch) {
    this.#context = context;
    this.#client = client;
    this.#batch = batch;
  }

  /** @param look sees, for --dry-run, whether the destination takes it */
  async file({ path }: Entry, destination: string, look = () => this.#look(destination)): Promise<void> {
    const { flags, report, signal } = this.#context;
    if (path === destination) {
      throw new HoldfastError('INVALID_ARGUMENT', `${JSON.stringify(path)} would be copied onto itself`);
    }
    if (flags.isSet('dry-run')) {
      await look();
      this.#batch.files += 1;
      const words = `${report.name(path)} → ${report.name(destination)}`;
      return report.result(words, { event: 'copied', path, destination, dryRun: true });
    }
    const copied = await this.#client.copy(path, destination, { overwrite: flags.isSet('force'), signal });
    this.#batch.files += 1;
    if (report.json) report.result('', copied);
  }

  async #look(destination: string): Promise<void> {
    const { flags, signal } = this.#context;
    await refuseFileAt(this.#client, destination, { overwrite: flags.isSet('force'), signal });
  }

  /** As a listing gives it: each directory is there before what is in it. */
  async directory(top: Entry, destination: string): Promise<void> {
    const { signal } = this.#context;
    if (destination === top.path || destination.startsWith(`${top.path}/`)) {
      throw new HoldfastError('INVALID_ARGUMENT', `${JSON.stringify(top.path)} would be copied into itself`);
    }
    const destinationOf = ({ path }: Entry): string => destination + path.slice(top.path.length);
    if (this.#context.flags.isSet('dry-run')) return this.#preview(top, destinationOf);
    const files = this.#makingDirectories(top, destinationOf);
    await forEachOf(files, filesAtOnce, costOfCopy, (entry) =>
      this.#batch.run({ path: entry.path }, signal, () => this.file(entry, destinationOf(entry))),
    );
  }

  /** The same for --dry-run: walks what is at the destination beside it. */
  async #preview(top: Entry, destinationOf: (entry: Entry) => string): Promise<void> {
    const { flags, signal } = this.#context;
    const there = await refuseTopAt(this.#client, destinationOf(top), { signal });
    const trees = [
      remoteTree(this.#client, signal, excludedBy(flags)),
      remoteTree(this.#client, signal),
    ] as const;
    const pair = { left: remoteNode(top, []), ...(there && { right: remoteNode(there, []) }) };
    const goesInto = ({ left, right }: Pair<RemoteNode, RemoteNode>): boolean =>
      left?.type === 'directory' && right?.type !== 'file';
    for await (const { left, right } of pairsOf(...trees, pair, goesInto)) {
      if (!left) continue;
      const { entry } = left;
      await this.#batch.run({ path: entry.path }, signal, async () => {
        const destination = destinationOf(entry);
        if (entry.type === 'directory') {
          if (right?.type === 'file') throw notADirectory(destination);
        } else {
          const look = async () => refuseFileOver(destination, right?.entry, flags.isSet('force'));
          await this.file(entry, destination, look);
        }
      });
    }
  }

  /** The files below; their directories are made on the way. */
  async *#makingDirectories(
    top: Entry,
    destinationOf: (entry: Entry) => string,
  ): AsyncGenerator<Entry, void, undefined> {
    const { flags, signal } = this.#context;
    const isExcluded = excludedBy(flags);
    const make = (entry: Entry): Promise<void> => makeTop(this.#client, destinationOf(entry), { signal });
    await make(top);
    /** What was excluded or could not be made: there is no place for what is below. */
    let missing: string | undefined;
    for await (const entry of this.#client.list(top.path, { depth: Infinity, signal })) {
      if (missing !== undefined && entry.path.startsWith(`${missing}/`)) continue;
      const names = entry.path.slice(top.path.length + 1).split('/');
      const isLeftOut = isExcluded?.(names, entry.type === 'directory') === true;
      if (entry.type === 'file') {
        if (!isLeftOut) yield entry;
      } else {
        missing = entry.path;
        if (isLeftOut) continue;
        await this.#batch.run({ path: entry.path }, signal, async () => {
          await make(entry);
          missing = undefined;
        });
      }
    }
  }
}
