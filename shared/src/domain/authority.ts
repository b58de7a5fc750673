/**
 * Which tracker a keeper obeys (S8): the highest (epoch, instance) that it has seen in its own cluster. Pure;
 * the keeper puts what `compareAuthority` calls newer on stable storage before it acts on it.
 */
export interface Authority {
  readonly clusterId: string;
  readonly epoch: number;
  readonly instanceId: string;
  /** The last metadata transaction. */
  readonly transactionId: number;
}

export type AuthorityOrder =
  /** Obey, nothing to remember but perhaps a later transaction. */
  | 'same'
  /** Remember durably, then obey. */
  | 'newer'
  /** Refuse: a newer tracker has replaced it. */
  | 'stale'
  /** Refuse and raise the alarm: two trackers run from one backup. */
  | 'rival'
  /** Refuse: another cluster's. */
  | 'foreign';

/** How `offered` stands to what was `seen` (undefined: nothing yet). */
export function compareAuthority(seen: Authority | undefined, offered: Authority): AuthorityOrder {
  if (seen === undefined) return 'newer';
  if (seen.clusterId !== offered.clusterId) return 'foreign';
  if (offered.epoch > seen.epoch) return 'newer';
  if (offered.epoch < seen.epoch) return 'stale';
  return offered.instanceId === seen.instanceId ? 'same' : 'rival';
}
