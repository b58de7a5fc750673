/** What `upload` and `download` would do, for --dry-run: a line for each file. What is at the destinations is not looked at. */
import { stat } from 'node:fs/promises';
import { baseName } from '@holdfast/shared';
import type { HoldfastClient } from '../client.js';
import type { FileToDownload } from '../download/download-many.js';
import type { Entry } from '../ports/tracker-api.js';
import { Batch } from './batch.js';
import type { CommandContext } from './command.js';
import { localPathIn } from './local-names.js';
import { walkLocal } from './local-tree.js';
import { type IsExcluded, excludedBy } from './path-pattern.js';

/** Resolves to the exit status. */
export async function previewUploads(
  { flags, report, signal }: CommandContext,
  sources: readonly string[],
  remoteOf: (source: string) => string,
): Promise<number> {
  const batch = new Batch(report);
  const options = { skipLinks: flags.isSet('skip-links'), isExcluded: excludedBy(flags) };
  const tell = (local: string, path: string): void =>
    report.result(`${report.name(local)} → ${report.name(path)}`, {
      ...{ event: 'uploaded', local, path, dryRun: true },
    });
  for (const source of sources) {
    const remote = remoteOf(source);
    if (source === '-' || !(await stat(source)).isDirectory()) {
      tell(source, remote);
      continue;
    }
    for await (const entry of walkLocal(source, remote, options)) {
      await batch.run({ local: entry.path }, signal, async () => {
        if (entry.kind === 'failed') throw entry.error;
        if (entry.kind === 'skipped') batch.skip(entry.why);
        if (entry.kind === 'file') tell(entry.path, entry.remote);
      });
    }
  }
  return batch.exitStatus;
}

/** Resolves to the exit status. */
export async function previewDownloads(
  context: CommandContext,
  client: HoldfastClient,
  places: readonly FileToDownload[],
): Promise<number> {
  const { flags, report, signal } = context;
  const batch = new Batch(report);
  const isExcluded = excludedBy(flags);
  for (const { entry, localPath } of places) await preview(entry, localPath, []);
  return batch.exitStatus;

  async function preview({ path, type }: Entry, local: string, names: readonly string[]): Promise<void> {
    if (type === 'file') {
      const words = `${report.name(path)} → ${report.name(local)}`;
      report.result(words, { event: 'downloaded', path, local, dryRun: true });
      return;
    }
    for await (const below of notExcluded(client.list(path, { signal }), names, isExcluded)) {
      await batch.run({ path: below.path }, signal, () =>
        preview(below, localPathIn(local, below.path), [...names, baseName(below.path)]),
      );
    }
  }
}

/** The entries of a directory that are not left out; `names` are those from the top of the tree down to it. */
export async function* notExcluded(
  entries: AsyncIterable<Entry>,
  names: readonly string[],
  isExcluded: IsExcluded | undefined,
): AsyncGenerator<Entry, void, undefined> {
  for await (const entry of entries) {
    const isLeftOut = isExcluded?.([...names, baseName(entry.path)], entry.type === 'directory');
    if (isLeftOut !== true) yield entry;
  }
}
