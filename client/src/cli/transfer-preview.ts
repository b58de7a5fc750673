/**
 * What `upload` and `download` would do, for --dry-run: a line for each file, and the error of each that would be
 * refused, as the run has it.
 */
import type { HoldfastClient } from '../client.js';
import type { FileToDownload } from '../download/download-many.js';
import { alreadyExists, isAFile } from '../core/refusals.js';
import type { Entry } from '../ports/tracker-api.js';
import { Batch } from './batch.js';
import type { CommandContext } from './command.js';
import {
  refuseLocalDirectory,
  refuseLocalFile,
  refuseLocalTop,
  refuseMissingParent,
  walkRemote,
} from './download-tree.js';
import { entryAt } from './entries.js';
import { refuseFileOver, refuseFileWhere, refuseTopAt } from './remote-refusals.js';
import type { ResumableRun } from './resumable-run.js';
import { type Leaf, type Source, leavesOf } from './upload-tree.js';

/** Resolves to the exit status. @throws what ends the run before any file */
export async function previewUploads(
  context: CommandContext,
  client: HoldfastClient,
  sources: readonly Source[],
  resumable: ResumableRun | undefined,
): Promise<number> {
  const { flags, report, signal } = context;
  const batch = new Batch(report);
  const overwrite = flags.isSet('force');
  const looking = { overwrite, createParents: flags.isSet('parents'), signal };
  const tell = (local: string, path: string): void =>
    report.result(`${report.name(local)} → ${report.name(path)}`, {
      event: 'uploaded',
      local,
      path,
      dryRun: true,
    });
  const tops: (Entry | undefined)[] = [];
  for (const { status, remote } of sources) {
    tops.push(status?.isDirectory() ? await refuseTopAt(client, remote, looking) : undefined);
  }
  for (const [index, source] of sources.entries()) {
    const { name: local, remote: path, status } = source;
    if (status?.isDirectory()) {
      for await (const leaf of leavesOf({ batch, client, context }, source, tops[index])) {
        await batch.run({ local: leaf.entry.path }, signal, () => leafOf(leaf));
      }
    } else if (resumable) await batch.run({ local, path }, signal, () => file(source));
    else await file(source);
  }
  return batch.exitStatus;

  async function leafOf({ entry, node, there, fileInTheWay }: Leaf): Promise<void> {
    if (fileInTheWay !== undefined) throw isAFile(fileInTheWay);
    if (entry.kind === 'directory') {
      if (there?.type === 'file') throw alreadyExists(entry.remote);
    } else if ((await resumable?.isThere(node, there)) !== true) {
      refuseFileOver(entry.remote, there?.entry, overwrite);
      tell(entry.path, entry.remote);
    }
  }

  async function file({ name, remote }: Source): Promise<void> {
    const there = await entryAt(client, remote, signal);
    if (await resumable?.isStored(name, there)) return;
    await refuseFileWhere(client, remote, there, looking);
    tell(name, remote);
  }
}

/** Resolves to the exit status. @throws what ends the run before any file */
export async function previewDownloads(
  context: CommandContext,
  client: HoldfastClient,
  places: readonly FileToDownload[],
  resumable: ResumableRun | undefined,
): Promise<number> {
  const { flags, report, signal } = context;
  const batch = new Batch(report);
  const overwrite = flags.isSet('force');
  const walk = { batch, client, context, makeDirectory: refuseLocalDirectory };
  for (const { entry, localPath } of places) {
    if (entry.type === 'directory') await refuseLocalTop(localPath);
  }
  for (const place of places) {
    const { entry, localPath } = place;
    for await (const file of entry.type === 'directory' ? walkRemote(walk, entry.path, localPath) : [place]) {
      const { path } = file.entry;
      if (resumable) await batch.run({ path, local: file.localPath }, signal, () => preview(file));
      else {
        await refuseMissingParent(localPath, 'cannot write');
        await preview(file);
      }
    }
  }
  return batch.exitStatus;

  async function preview(file: FileToDownload): Promise<void> {
    if (await resumable?.isFetched(file)) return;
    const {
      entry: { path },
      localPath: local,
    } = file;
    await refuseLocalFile(local, overwrite);
    const words = `${report.name(path)} → ${report.name(local)}`;
    report.result(words, { event: 'downloaded', path, local, dryRun: true });
  }
}
