/** The keepers that the metadata remembers, as the membership starts with them. */
import type { ExpectedKeeper } from '../membership/keeper.js';
import type { MetadataStore } from '../store/metadata-store.js';
import { markAllAlive } from './keeper-changes.js';

/**
 * Loads the keepers at the tracker's start. Each has its whole lease before it, so the pieces of all of them
 * count again until it runs out: the tracker was away, not they.
 */
export async function loadKeepers(store: MetadataStore): Promise<ExpectedKeeper[]> {
  const rows = await store.mutate(async (tx) => {
    await markAllAlive(tx);
    return tx.db.selectFrom('keepers').selectAll().orderBy('keeper_id').execute();
  });
  return rows.map((row) => ({
    keeperId: row.keeper_id,
    storageId: row.storage_id,
    incarnation: row.incarnation,
    address: row.address,
    zone: row.zone,
    capacity: {
      totalBytes: row.total_bytes,
      usedBytes: row.used_bytes,
      freeBytes: row.free_bytes,
      // Not kept: it says so itself in a moment.
      trashBytes: 0,
    },
    softwareVersion: row.software_version,
    stopping: row.stopping === 1,
    draining: row.draining === 1,
    ...(row.maintenance_ms !== null && { maintenanceMs: row.maintenance_ms }),
  }));
}
