/**
 * What the tracker keeps in memory about one keeper, and what keepers say of themselves.
 *
 * These are the words between the registry (membership.ts) and its callers; they mirror
 * keeper_registry_service.proto without depending on it, so that the rules can be tested without a wire.
 */
import type { KeeperState } from './lease.js';

/** Room on a keeper's storage, in bytes. */
export interface KeeperCapacity {
  /** All that the storage may use. */
  readonly totalBytes: number;
  /** What pieces use now, trash included. */
  readonly usedBytes: number;
  /** What new pieces may still take. */
  readonly freeBytes: number;
  /** How much of usedBytes is in the keeper's trash, which gives way to new pieces. */
  readonly trashBytes: number;
}

/** How far a keeper has re-read its pieces, in the round that runs. Times are its wall clock's, for display only. */
export interface ScrubProgress {
  readonly scannedPieces: number;
  readonly expectedPieces: number;
  readonly scannedBytes: number;
  readonly expectedBytes: number;
  /** Damaged pieces that this round found. */
  readonly corruptPieces: number;
  /** Pieces that could not be read for another reason. */
  readonly unreadPieces: number;
  /** Of the scanned ones, pieces that were read through the page cache, as the medium could not be read past it. */
  readonly cachedPieces: number;
  /** Everything up to this chunk id was read in this round; what is after it, in the round before. */
  readonly throughChunkId: string;
  readonly startedAtUnixMs?: number | undefined;
  readonly previousStartedAtUnixMs?: number | undefined;
  /** Whole rounds so far. */
  readonly rounds: number;
  /** The task that asked for this round; '' for one that began by itself. */
  readonly taskId: string;
}

/** Which start of which keeper speaks. */
export interface KeeperIdentity {
  readonly keeperId: string;
  /** The formatted data directory; a keeper that was wiped comes back with another one. */
  readonly storageId: string;
  /** Grows with every start of a keeper on the same storage. */
  readonly incarnation: number;
}

/** A keeper as the metadata remembers it. */
export interface ExpectedKeeper extends KeeperIdentity {
  /** HOST:PORT, as the keeper last advertised it. */
  readonly address: string;
  /** The failure domain; empty for one of its own. */
  readonly zone: string;
  readonly capacity: KeeperCapacity;
  readonly softwareVersion?: string;
  /** True if it had announced to stop: its lease after the tracker's start is then one of maintenance. */
  readonly stopping?: boolean;
  /** True if a job empties it, or has: it takes no new pieces. */
  readonly draining?: boolean;
  /** How much longer its absence was announced to last. */
  readonly maintenanceMs?: number;
}

/** What a keeper says when it starts. */
export interface KeeperRegistration extends KeeperIdentity {
  readonly address: string;
  readonly zone: string;
  readonly capacity: KeeperCapacity;
  readonly softwareVersion: string;
}

/** What a keeper says once a second. */
export interface KeeperHeartbeat extends KeeperIdentity {
  readonly capacity: KeeperCapacity;
  readonly activeStreams: number;
  /** How many more tasks the keeper takes now. */
  readonly freeTaskSlots: number;
  /** True when the keeper stops on purpose. */
  readonly stopping: boolean;
  /** Why the storage cannot be written, or null if it can. */
  readonly storageError: string | null;
  readonly scrub?: ScrubProgress | undefined;
}

/** A snapshot of one keeper; it does not change when the registry does. */
export interface KeeperView extends KeeperIdentity {
  readonly address: string;
  readonly zone: string;
  readonly capacity: KeeperCapacity;
  readonly softwareVersion: string;
  /** As of the last tick, heartbeat or registration. */
  readonly state: KeeperState;
  /** When the lease ran out, on the tracker's monotonic clock; null unless dead. */
  readonly deadSinceMs: number | null;
  /** The last registration or heartbeat; null if there was none since the tracker started. */
  readonly lastHeardMs: number | null;
  /** True while it is being emptied, and after: it takes no new pieces, and those that it has do not count as kept. */
  readonly draining: boolean;
  /** True once the full report of this start of the keeper is in. */
  readonly reported: boolean;
  readonly storageError: string | null;
  /** How far it has re-read its pieces; null if this start of it has not said. */
  readonly scrub: ScrubProgress | null;
  /** Why its identity is in doubt, or null (rivals.ts): it takes no new pieces meanwhile. */
  readonly identityConflict: string | null;
  readonly activeStreams: number;
  readonly freeTaskSlots: number;
  /** What was allocated to it since its last heartbeat, in bytes. */
  readonly reservedBytes: number;
  /** How many pieces that was. */
  readonly reservedPieces: number;
}

/** A change of state; `from` is null for a keeper that just became known. */
export interface KeeperTransition {
  readonly keeperId: string;
  readonly from: KeeperState | null;
  readonly to: KeeperState;
}

/** Whether a registration is taken, and what it means for the metadata. */
export type RegistrationVerdict =
  | {
      readonly outcome: 'registered';
      readonly isNewKeeper: boolean;
      /** The keeper came back with another storage: every piece recorded for it is gone. */
      readonly storageReplaced: boolean;
    }
  /** A later start of the same keeper on the same storage has registered before. */
  | { readonly outcome: 'stale-incarnation'; readonly knownIncarnation: number }
  | { readonly outcome: 'too-many-keepers'; readonly limit: number };

/** A verdict that was carried out; `transition` is null if the state stayed the same. */
export type RegistrationResult =
  | (Extract<RegistrationVerdict, { outcome: 'registered' }> & {
      readonly transition: KeeperTransition | null;
    })
  | Exclude<RegistrationVerdict, { outcome: 'registered' }>;

export type HeartbeatResult =
  | { readonly outcome: 'accepted'; readonly transition: KeeperTransition | null }
  /** The tracker does not know this start of the keeper: it must register (again). */
  | { readonly outcome: 'not-registered' };
