/** The keepers: that the tracker knows who speaks, and what they said of what they have. */
import type { RegressionGuard } from '../cluster/regression.js';
import type { KeeperView } from '../membership/keeper.js';
import type { Membership } from '../membership/membership.js';
import type { FullReports } from '../registry/full-report.js';
import type { MetadataSnapshot } from '../store/metadata-store.js';
import type { CheckFinding } from './finding.js';

export interface KeepersCheckParts {
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly reports: FullReports;
}

/** The keepers that told all that they have, in a report that covers `since`. */
export function reportedSince({ membership, reports }: KeepersCheckParts, since: number): KeeperView[] {
  return membership.list().filter(({ keeperId }) => (reports.completeOf(keeperId)?.before ?? -1) >= since);
}

export async function checkKeepers(
  { db }: MetadataSnapshot,
  parts: KeepersCheckParts,
  since: number,
): Promise<CheckFinding[]> {
  const { guard, membership, reports } = parts;
  const findings: CheckFinding[] = [];
  const add = (invariant: CheckFinding['invariant'], subject: string, text: string): void => {
    findings.push({ invariant, subject, text });
  };
  if (guard.regressed) add('S9', '', 'keepers have seen later metadata than this tracker has');
  const rows = await db
    .selectFrom('keepers')
    .select(['keeper_id', 'storage_id', 'incarnation', 'dead'])
    .execute();
  const known = new Map(rows.map((row) => [row.keeper_id, row]));
  for (const keeper of membership.list()) {
    const { keeperId } = keeper;
    const row = known.get(keeperId);
    if (row?.storage_id !== keeper.storageId || row.incarnation !== keeper.incarnation) {
      add('S8', keeperId, 'the metadata names another start of it than the one that is obeyed');
    } else if ((row.dead === 1) !== (keeper.state === 'dead')) {
      add(
        'counts',
        keeperId,
        `it is ${keeper.state}, and its pieces ${row.dead === 1 ? 'do not' : 'do'} count`,
      );
    }
    if (keeper.identityConflict !== null) add('S8', keeperId, keeper.identityConflict);
  }
  for (const { keeperId } of reportedSince(parts, since)) {
    const { lost = 0, mismatched = 0, unknown = 0 } = reports.completeOf(keeperId) ?? {};
    if (lost > 0)
      add('repair', keeperId, `it lacked ${lost} pieces that the metadata counted; they are copied anew`);
    if (mismatched > 0) add('S4', keeperId, `it has ${mismatched} pieces with other bytes than their chunks`);
    if (unknown > 0) add('S10', keeperId, `it has ${unknown} pieces that the metadata does not know`);
  }
  return findings;
}
