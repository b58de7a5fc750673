/** Keepers by defaults, so that every option written in a test matters to it. */
import { Membership } from '../../src/membership/membership.js';
import type { MembershipOptions } from '../../src/membership/membership.js';
import type { KeeperHeartbeat, KeeperRegistration } from '../../src/membership/keeper.js';

export const capacity = { totalBytes: 1_000, usedBytes: 400, freeBytes: 600, trashBytes: 0 };

export function registration(
  keeperId: string,
  changes: Partial<KeeperRegistration> = {},
): KeeperRegistration {
  return {
    keeperId,
    storageId: `storage of ${keeperId}`,
    incarnation: 1,
    address: `${keeperId}:7501`,
    zone: '',
    capacity,
    softwareVersion: '0.1.0',
    ...changes,
  };
}

export function heartbeat(keeperId: string, changes: Partial<KeeperHeartbeat> = {}): KeeperHeartbeat {
  return {
    keeperId,
    storageId: `storage of ${keeperId}`,
    incarnation: 1,
    capacity,
    activeStreams: 0,
    freeTaskSlots: 4,
    stopping: false,
    storageError: null,
    ...changes,
  };
}

/** A registry that starts at 0 with these keepers registered. */
export function membershipOf(keeperIds: string[], options: Partial<MembershipOptions> = {}): Membership {
  const membership = new Membership({ nowMs: 0, ...options });
  for (const keeperId of keeperIds) membership.register(registration(keeperId), 0);
  return membership;
}

/** Ticks once a second after `fromMs` up to `toMs` and returns what changed, as "keeper: from > to at time". */
export function run(membership: Membership, fromMs: number, toMs: number): string[] {
  const changes: string[] = [];
  for (let nowMs = fromMs + 1_000; nowMs <= toMs; nowMs += 1_000) {
    for (const { keeperId, from, to } of membership.tick(nowMs)) {
      changes.push(`${keeperId}: ${from} > ${to} at ${nowMs}`);
    }
  }
  return changes;
}
