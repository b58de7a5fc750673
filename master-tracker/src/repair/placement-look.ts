/**
 * Looks through all chunks, slowly and for ever, for those that are not as they should be and that nobody queued.
 *
 * The failure it answers: while a whole zone is gone, chunks are completed with two pieces in another one. When it
 * is back no piece is missing, so nothing leads to them; and looking for them all at once would stop everything
 * else. What it finds goes the way of everything else, through the queue.
 */
import type { RegressionGuard } from '../cluster/regression.js';
import type { Membership } from '../membership/membership.js';
import { failureDomain } from '../placement/placement.js';
import { plural } from '../events/words.js';
import { queueAll } from '../registry/pieces.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { loadChunks } from './load-chunks.js';
import type { Repair } from './repair.js';

/** A page a second: about 5 ms of it, and a million chunks in half an hour. */
const pageSize = 500;

export interface PlacementLookParts {
  readonly store: MetadataStore;
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly repair: Repair;
}

export class PlacementLook {
  readonly #parts: PlacementLookParts;
  /** In memory: where a restart begins again is as good as anywhere. */
  #after = '';
  /** Chunks that were looked at since the tracker started; undefined once all were. */
  #looked: number | undefined = 0;

  constructor(parts: PlacementLookParts) {
    this.#parts = parts;
  }

  /** One page; true if it found something. */
  async step(): Promise<boolean> {
    const { store, guard, repair } = this.#parts;
    if (guard.regressed) return false;
    const after = this.#after;
    const { chunks, queued, last } = await store.read(async (snapshot) => {
      const rows = await snapshot.db
        .selectFrom('chunks')
        .leftJoin('repair_queue', 'repair_queue.chunk_id', 'chunks.chunk_id')
        .select(['chunks.chunk_id', 'repair_queue.chunk_id as queued'])
        .where('chunks.chunk_id', '>', after)
        .orderBy('chunks.chunk_id')
        .limit(pageSize)
        .execute();
      const chunkIds = rows.map((row) => row.chunk_id);
      return {
        chunks: await loadChunks(snapshot, chunkIds),
        queued: new Set(rows.map((row) => row.queued)),
        last: rows.length < pageSize ? '' : (chunkIds.at(-1) ?? ''),
      };
    });
    const found = repair.offPolicy(chunks.filter((chunk) => !queued.has(chunk.chunkId)));
    // Nobody can say yet: the page is looked at again.
    if (found === undefined) return false;
    this.#after = last;
    if (this.#looked !== undefined) this.#looked = last === '' ? undefined : this.#looked + chunks.length;
    if (found.length === 0) return false;
    await store.mutate((tx) => queueAll(tx, found));
    return true;
  }

  /** What of `chunks` chunks was not looked at since the tracker started, in a sentence; '' if nothing, or for nothing. */
  unlookedInWords(chunks: number): string {
    const looked = this.#looked;
    if (looked === undefined || looked >= chunks) return '';
    const domains = this.#parts.membership.list().map(failureDomain);
    // Where each keeper is a zone of its own, no two copies can share one.
    if (new Set(domains).size === domains.length) return '';
    return `Whether copies share a zone was looked at for ${looked} of ${plural(chunks, 'chunk')} since the tracker started.`;
  }
}
