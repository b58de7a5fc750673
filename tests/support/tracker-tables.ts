/** What the tracker has written down, read from its file by the driver that it uses, whether it runs or not. */
import type { Cluster } from '@holdfast/local-cluster';
import { openDatabase } from '@holdfast/master-tracker/insides';
import { join } from 'node:path';

export type Row = Readonly<Record<string, string | number | null>>;

export function queryTables(cluster: Cluster, sql: string): Row[] {
  const path = join(cluster.tracker.dataDir, 'metadata.sqlite');
  const database = openDatabase(path, { readOnly: true });
  try {
    return database.prepare(sql).all([]) as Row[];
  } finally {
    database.close();
  }
}
