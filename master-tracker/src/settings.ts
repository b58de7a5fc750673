/**
 * What can be set on a tracker, with the reason for every default. Tests and local clusters shorten the times;
 * no value changes what is safe, only when things happen.
 */
import { type Policy, defaultPolicy, limits } from '@holdfast/shared';
import { DEFAULT_LEASE_TIMING } from './membership/lease.js';
import { DEFAULT_REPAIR_LIMITS, type RepairLimits } from './repair/repair-view.js';

const minuteMs = 60_000;

export interface TrackerSettings {
  /** How often keepers are told to send a heartbeat. */
  readonly heartbeatIntervalMs: number;
  /** Silence after which a keeper takes no new pieces. */
  readonly suspectAfterMs: number;
  /** Silence after which a keeper's pieces do not count and are copied elsewhere. */
  readonly deadAfterMs: number;
  /** How long a keeper that stopped on purpose is waited for. */
  readonly maintenanceMs: number;
  /** How long an upload session lives when nothing of it is heard. */
  readonly uploadLeaseMs: number;
  /** The longest lease that an upload may ask for, to be gone on with later. */
  readonly maxUploadLeaseMs: number;
  /** How long a write or read token is good. */
  readonly tokenLifetimeMs: number;
  /** How long versions that were given up stay readable for those who read them already. */
  readonly reclaimGraceMs: number;
  /** How long they can be restored before that, in served time; 0: not at all. */
  readonly trashRetentionMs: number;
  /** How long the answers to mutations are remembered at least, beyond `retainedRequests`. */
  readonly requestRetentionMs: number;
  /** How many answers to mutations are remembered, however old, */
  readonly retainedRequests: number;
  /** and of those how many that are long: answers for many files at once. */
  readonly retainedLongRequests: number;
  /** How many changes of the namespace watches can go back, at least. */
  readonly retainedChanges: number;
  /** The silence after which a watch is told that it still runs. */
  readonly watchHeartbeatMs: number;
  /** About how often each keeper is asked to tell anew all that it has. */
  readonly reportIntervalMs: number;
  /** How far apart two reports must name a piece that the metadata does not know before it is given up. */
  readonly unknownGraceMs: number;
  /** The pause between two steps of repair and of reclamation. */
  readonly repairTickMs: number;
  /** The policy of uploads that ask for none. */
  readonly defaultPolicy: Policy;
  /** The chunk size of uploads that ask for none, in bytes. */
  readonly defaultChunkSizeBytes: number;
  /** How many uploads may be open at once; their leases are in memory. */
  readonly maxOpenUploads: number;
  /** How many bytes a second repair may bring to each keeper; 0 for no limit. Endangered chunks do not wait for it. */
  readonly repairRateBytesPerS: number;
  /** How much repair may do at once. */
  readonly repairLimits: RepairLimits;
}

export const defaultSettings: TrackerSettings = {
  // A death is noticed within seconds, and 100 keepers cost 100 tiny calls a second.
  heartbeatIntervalMs: 1_000,
  ...DEFAULT_LEASE_TIMING,
  // A client that sleeps through a change of network or a laptop's lid can resume.
  uploadLeaseMs: 10 * minuteMs,
  // What was interrupted in the evening goes on the next morning. The price: the chunks of an upload that nobody goes
  // on with take room for as long, as those in the trash do.
  maxUploadLeaseMs: 24 * 60 * minuteMs,
  // Longer than any one chunk takes (64 MiB in 15 minutes is 75 kB/s), short enough that a leaked one is soon
  // worthless.
  tokenLifetimeMs: 15 * minuteMs,
  // A reader asks for locations again at least every few minutes; this is how long one may go without.
  reclaimGraceMs: 10 * minuteMs,
  // Whoever deletes the wrong thing in the evening can have it back the next morning.
  trashRetentionMs: 24 * 60 * minuteMs,
  // Clients ask again for a minute (patientRetry); a suspended laptop for a little longer.
  requestRetentionMs: 10 * minuteMs,
  // About 60 MB on disk.
  retainedRequests: 200_000,
  // About 200 MB, of packs of a thousand files: the last million files, for clients that were suspended meanwhile.
  retainedLongRequests: 1_000,
  // About 150 MB on disk with ordinary paths. Five minutes of uploads as fast as a tracker takes them, and weeks of
  // most clusters: whoever was away for longer is faster with a listing.
  retainedChanges: 1_000_000,
  // A connection that died without a word is found within three of them; a message costs some microseconds.
  watchHeartbeatMs: 5_000,
  // A look at every file's footer: some minutes for a million, so a hundredth of a disk's time.
  reportIntervalMs: 6 * 60 * minuteMs,
  // Longer than whatever may be late: write tokens, retries, a client that was suspended.
  unknownGraceMs: 60 * minuteMs,
  // An endangered chunk waits a second at most for its copy to be ordered.
  repairTickMs: 1_000,
  defaultPolicy,
  defaultChunkSizeBytes: limits.defaultChunkSizeBytes,
  // About 100 bytes each; more at once is a client that leaks sessions.
  maxOpenUploads: 20_000,
  // Half of a link of 1 Gbit/s, or a third of what a hard disk writes: clients keep the larger part. Ten keepers that
  // share the 4 TB of one that was lost are done in two hours.
  repairRateBytesPerS: 64 * 1024 * 1024,
  repairLimits: DEFAULT_REPAIR_LIMITS,
};
