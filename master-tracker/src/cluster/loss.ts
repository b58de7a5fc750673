/**
 * What would be lost or endangered if some keepers went now, for whoever is about to switch one off.
 *
 * The failure it answers: somebody takes the last keeper that has a file out of its rack, because the cluster looked
 * as if it could spare one.
 *
 * Chunks are counted a page at a time, each page in a read of its own and with a pause behind it: a keeper has
 * 250,000 pieces or more, and other calls must get their turn. What happens meanwhile may be in the count or not.
 */
import { type Clock, HoldfastError, type Policy } from '@holdfast/shared';
import { sql } from 'kysely';
import { bytesInWords, plural } from '../events/words.js';
import type { Membership } from '../membership/membership.js';
import { pathOf } from '../namespace/resolve.js';
import { pageOfPieces } from '../registry/piece-pages.js';
import { batches } from '../store/batches.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { rootId, unlinkedId } from '../store/schema.js';

/** Pieces that one read looks at: about 10 ms. */
const piecesPerRead = 1_000;
/** Entries that one read looks through for the paths of versions: about 5 ms. */
const entriesPerRead = 10_000;
/** Files whose paths are told. */
const maxPaths = 100;
/** Files that are told apart: about 5 MB. Beyond, there are so many at least. */
const maxFiles = 100_000;
/** Previews that may wait for another one; each takes seconds where there is much to count. */
const maxWaiting = 16;
/** A path is at most 4,096 bytes, so it has no more names than this. */
const maxDepth = 2_048;

/** What is counted of the chunks that these keepers have. */
export interface LossCounts {
  /** Chunks that no other keeper that is there has, and their bytes. */
  lostChunks: number;
  lostBytes: number;
  /** Chunks that would have as few pieces as are needed to read them. */
  endangeredChunks: number;
  /** Chunks that would be below their policy, those above included. */
  chunksBelowPolicy: number;
  /** Of the chunks that would not be lost. */
  bytesToCopy: number;
}

/** A chunk that one of the keepers has, and how many pieces it would have without them. */
export interface RemainingChunk {
  readonly lengthBytes: number;
  readonly policyPieces: number;
  readonly remainingPieces: number;
}

/** Adds chunks to the counts. Under replicas one piece restores a chunk. */
export function addLoss(counts: LossCounts, chunks: readonly RemainingChunk[]): void {
  for (const { lengthBytes, policyPieces, remainingPieces } of chunks) {
    if (remainingPieces >= policyPieces) continue;
    counts.chunksBelowPolicy += 1;
    if (remainingPieces === 0) {
      counts.lostChunks += 1;
      counts.lostBytes += lengthBytes;
      continue;
    }
    if (remainingPieces === 1) counts.endangeredChunks += 1;
    counts.bytesToCopy += (policyPieces - remainingPieces) * lengthBytes;
  }
}

export interface LossPreview extends Readonly<LossCounts> {
  /** Of those, at least, once there are 100,000. */
  readonly lostFiles: number;
  /** The first 100 that were found. */
  readonly lostPaths: readonly string[];
  /** What the keepers that would be left may still take. */
  readonly roomBytes: number;
  readonly canWrite: boolean;
  readonly summary: string;
}

export interface LossParts {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly membership: Membership;
  readonly defaultPolicy: Policy;
}

export class LossPreviewer {
  readonly #parts: LossParts;
  /** Settles when the preview that runs has ended: one at a time, as each keeps lists in memory. */
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(parts: LossParts) {
    this.#parts = parts;
  }

  /** @throws HoldfastError NOT_FOUND for a keeper that is not known, LIMIT_EXCEEDED when too many ask at once */
  async preview(keeperIds: readonly string[]): Promise<LossPreview> {
    const { membership } = this.#parts;
    const gone = [...new Set(keeperIds)].sort();
    const unknown = gone.find((keeperId) => !membership.get(keeperId));
    if (unknown !== undefined) throw new HoldfastError('NOT_FOUND', `there is no keeper ${unknown}`);
    if (this.#waiting >= maxWaiting) {
      throw new HoldfastError('LIMIT_EXCEEDED', `${maxWaiting} previews wait already`, {
        retryable: true,
        retryAfterMs: 1_000,
        remedy: 'Try again in a moment.',
      });
    }
    this.#waiting += 1;
    const mine = this.#turn.then(() => this.#preview(gone));
    this.#turn = mine.catch(() => undefined);
    return mine.finally(() => (this.#waiting -= 1));
  }

  async #preview(gone: readonly string[]): Promise<LossPreview> {
    const { membership, defaultPolicy } = this.#parts;
    const counts: LossCounts = {
      ...{ lostChunks: 0, lostBytes: 0, endangeredChunks: 0 },
      ...{ chunksBelowPolicy: 0, bytesToCopy: 0 },
    };
    const lostVersions = new Set<number>();
    for (const keeperId of gone) {
      for await (const page of this.#chunksOf(keeperId, gone)) {
        addLoss(counts, page);
        const lost = page.filter((chunk) => chunk.remainingPieces === 0).map((chunk) => chunk.chunkId);
        await this.#addVersionsOf(lost, lostVersions);
      }
    }
    const left = membership.placementCandidates().filter(({ keeperId }) => !gone.includes(keeperId));
    const found = {
      ...counts,
      lostFiles: lostVersions.size,
      lostPaths: await this.#pathsOf(lostVersions),
      roomBytes: left.reduce((sum, keeper) => sum + Math.max(0, keeper.freeBytes - keeper.reservedBytes), 0),
      canWrite: left.length >= defaultPolicy.minWrite,
    };
    return { ...found, summary: summarize(found, gone.length, left.length, defaultPolicy) };
  }

  /** The live chunks of a keeper, by pages; those that a keeper before it in `gone` has too were counted there. */
  async *#chunksOf(
    keeperId: string,
    gone: readonly string[],
  ): AsyncGenerator<(RemainingChunk & { chunkId: string })[], void, undefined> {
    const { store, clock } = this.#parts;
    for (let after = ''; ;) {
      const from = after;
      const page = await store.read((snapshot) =>
        snapshot.db
          .selectFrom(pageOfPieces(snapshot, keeperId, from, piecesPerRead).as('own'))
          .innerJoin('chunks', 'chunks.chunk_id', 'own.chunk_id')
          .innerJoin('pieces', (join) =>
            join.onRef('pieces.chunk_id', '=', 'own.chunk_id').on('pieces.state', '=', 'durable'),
          )
          .leftJoin('keepers', (join) =>
            join
              .onRef('keepers.keeper_id', '=', 'pieces.keeper_id')
              .on('keepers.dead', '=', 0)
              .on('keepers.keeper_id', 'not in', gone),
          )
          .select(({ fn }) => [
            'own.chunk_id as chunkId',
            'chunks.state',
            'chunks.pieces as policyPieces',
            'chunks.length',
            fn.count<number>('keepers.keeper_id').as('remainingPieces'),
            fn.min<string>('pieces.keeper_id').filterWhere('pieces.keeper_id', 'in', gone).as('firstGone'),
          ])
          .groupBy(['own.chunk_id', 'chunks.state', 'chunks.pieces', 'chunks.length'])
          .orderBy('own.chunk_id')
          .execute(),
      );
      yield page
        .filter((chunk) => chunk.state === 'live' && chunk.firstGone === keeperId)
        .map(({ length, ...chunk }) => ({ ...chunk, lengthBytes: length ?? 0 }));
      const last = page.at(-1);
      if (!last || page.length < piecesPerRead) return;
      after = last.chunkId;
      await clock.sleep(0);
    }
  }

  /**
   * Adds the versions that paths show and that need one of these chunks, until there are as many as are counted: of
   * small files that share their chunks there may be millions.
   */
  async #addVersionsOf(chunkIds: readonly string[], versions: Set<number>): Promise<void> {
    for (const batch of batches(chunkIds)) {
      if (versions.size >= maxFiles) return;
      const rows = await this.#parts.store.read(({ db }) =>
        db
          .selectFrom('extents')
          .innerJoin('versions', 'versions.version', 'extents.version')
          .select('extents.version')
          .distinct()
          .where('chunk_id', 'in', batch)
          .where('retired_transaction_id', 'is', null)
          .where((eb) =>
            eb.not(
              eb.exists(
                eb
                  .selectFrom('trash')
                  .select('trash.version')
                  .whereRef('trash.version', '=', 'versions.version'),
              ),
            ),
          )
          .limit(maxFiles)
          .execute(),
      );
      for (const { version } of rows) if (versions.size < maxFiles) versions.add(version);
    }
  }

  /**
   * The paths that show some of the versions. Nothing leads from a version to its path, as that would cost every
   * upload an index: the entries are looked through until enough are found.
   */
  async #pathsOf(versions: ReadonlySet<number>): Promise<string[]> {
    const { store, clock } = this.#parts;
    const wanted = [...versions].slice(0, maxPaths);
    const paths: string[] = [];
    const last = store.counters.last_entry_id;
    for (let from = 0; from < last && paths.length < wanted.length; from += entriesPerRead) {
      const start = from;
      const rows = await store.read(({ db }) =>
        db
          .selectFrom('entries')
          .select('entry_id')
          .where('entry_id', '>', start)
          .where('entry_id', '<=', start + entriesPerRead)
          .where('version', 'in', wanted)
          .execute(),
      );
      for (const row of rows) paths.push(...(await this.#pathOf(row.entry_id)));
      await clock.sleep(0);
    }
    return paths.sort();
  }

  /** None for an entry that was deleted and is being taken apart. */
  async #pathOf(entryId: number): Promise<string[]> {
    const rows = await this.#parts.store.read(({ db }) =>
      db
        .withRecursive('up', (up) =>
          up
            .selectFrom('entries')
            .select(['entry_id', 'parent_id', 'name', sql<number>`0`.as('depth')])
            .where('entry_id', '=', entryId)
            .unionAll((more) =>
              more
                .selectFrom('entries')
                .innerJoin('up', 'up.parent_id', 'entries.entry_id')
                .select([
                  'entries.entry_id',
                  'entries.parent_id',
                  'entries.name',
                  sql<number>`depth + 1`.as('depth'),
                ])
                .where('up.entry_id', '!=', rootId)
                .where('depth', '<', maxDepth),
            ),
        )
        .selectFrom('up')
        .selectAll()
        .orderBy('depth', 'desc')
        .execute(),
    );
    const [top, ...below] = rows;
    if (top?.entry_id !== rootId || below.some((row) => row.parent_id === unlinkedId)) return [];
    return [pathOf(below.map((row) => row.name))];
  }
}

function summarize(
  found: Omit<LossPreview, 'summary'>,
  gone: number,
  left: number,
  { pieces }: Policy,
): string {
  const { lostChunks, lostFiles, endangeredChunks, chunksBelowPolicy, bytesToCopy, roomBytes } = found;
  const without = `without ${gone === 1 ? 'this keeper' : `these ${gone} keepers`}`;
  const parts: string[] = [];
  if (lostChunks > 0) {
    const atLeast = lostFiles >= maxFiles ? 'at least ' : '';
    parts.push(
      `DATA WOULD BE LOST ${without}: ${atLeast}${plural(lostFiles, 'file')} could not be read (${plural(lostChunks, 'chunk')}, ${bytesInWords(found.lostBytes)})`,
    );
  } else parts.push(`nothing would be lost ${without}`);
  if (endangeredChunks > 0) parts.push(`${plural(endangeredChunks, 'chunk')} would have one copy left`);
  if (chunksBelowPolicy > lostChunks) {
    const room =
      bytesToCopy > roomBytes ? `, MORE THAN the ${bytesInWords(roomBytes)} that are free elsewhere` : '';
    parts.push(
      `${plural(chunksBelowPolicy, 'chunk')} would be below policy; ${bytesInWords(bytesToCopy)} to copy${room}`,
    );
  }
  if (left < pieces) {
    parts.push(
      `${plural(left, 'keeper')} would be left, too few for ${plural(pieces, 'copy', 'copies')} of each chunk`,
    );
  }
  if (!found.canWrite) parts.push('nothing could be uploaded by the default policy');
  return parts.join('; ');
}
