/**
 * The keeper's numbers, each with why it is what it is and what goes wrong on either side. Operators set none of
 * them; tests set some.
 */
import { HoldfastError } from '@holdfast/shared';

export interface KeeperSettings {
  /** Of one Heartbeat: shorter than the lease by far, longer than any pause of a healthy tracker. */
  readonly heartbeatDeadlineMs: number;
  /** Of RegisterKeeper, ReportPieces and CompleteTask: a page of 5,000 pieces is a transaction of its own. */
  readonly controlDeadlineMs: number;
  /** How long the first registration may take in all; a tracker that starts at the same time is up by then. */
  readonly registerTimeoutMs: number;
  /**
   * A follower that takes nothing for this long although there is something to take is dropped, the connecting
   * included. Longer than a hiccup of a busy disk; the client waits for it.
   */
  readonly followerStallMs: number;
  /** A client that sends or takes no message for this long is gone. Longer than a mobile network's pauses. */
  readonly clientStallMs: number;
  /** A disk that does not say how much room it has for this long hangs. Much shorter than the lease. */
  readonly diskStallMs: number;
  /** A source that sends nothing for this long. Longer than clientStallMs: the head of a chain gives up first. */
  readonly sourceStallMs: number;
  /** How long a follower may take to sync and finish its own chain, beside a second for each MiB. */
  readonly finishMs: number;
  /** The longest that any stream of blocks may last: 64 MiB at 18 KiB/s. A sender of drops holds a slot no longer. */
  readonly streamDeadlineMs: number;
  /**
   * Pieces that arrive at a time, from clients and peers. Each has about 5 messages of 1 MiB in memory (one
   * arriving, one read ahead, one being written, one or two on to the follower), so this bounds the memory. A client
   * that stands still pins the last message that came.
   */
  readonly maxWrites: number;
  /**
   * Pieces at a time that arrive or have arrived and are synced, or wait for followers. The latter have next to nothing
   * in memory; the bound is one of open files and of bytes that are not durable yet: 2 GiB in chunks of 16 MiB, which a
   * disk of 85 MB/s syncs within the 25 s that a client waits for its receipt.
   */
  readonly maxOpenWrites: number;
  /**
   * What may be kept in memory for followers that keep up, of all pieces. With less, followers read more from the
   * page cache, which costs a tenth of the CPU time; with more, a slow link pins more.
   */
  readonly liveMemoryBytes: number;
  /**
   * Pieces that clients read at a time. Each has 2 messages in memory, one that is being sent and one read ahead, out of
   * pumpMemoryBytes. A client that stands still pins what its share was when it stopped for clientStallMs, and nothing
   * after: 150 MiB if all do that came one after the other. What it was sent already, up to HTTP/2's window, is in its
   * own memory. Twice as many as 64 clients need of three keepers when they read three parts of a file each: a
   * refusal costs them more than a shorter message.
   */
  readonly maxReads: number;
  /**
   * Pieces that peers fetch at a time, of the same memory; apart, or many slow readers would stop all chains. As many as
   * maxOpenWrites: each of those may have a follower that fetches.
   */
  readonly maxReplicaStreams: number;
  /**
   * What all who read, clients and peers, have in memory of their messages. Enough for 32 of them with 2 messages of
   * 1 MiB each; more have shorter ones, which cost more CPU time a byte. Up to 8 MiB stay for those that come next.
   */
  readonly pumpMemoryBytes: number;
  /** Tasks of the tracker at a time, beside copies: they go beside the work of clients. */
  readonly taskSlots: number;
  /**
   * Pieces that are copied to this keeper at a time. How many large ones these may be is the tracker's to say; of small
   * ones each waits for the source, the disk and the tracker in turn, and with more of them clients wait for the disk.
   */
  readonly copySlots: number;
  /** Pieces that others copy from this one at a time, apart from the streams of chains and as much memory each. */
  readonly maxCopyStreams: number;
  /** Tasks that wait for their turn: what is done in the time that a heartbeat and the tracker's planning take. */
  readonly maxWaitingTasks: number;
  /** How long trashed pieces are kept: time enough to stop a keeper after a mistake, short enough for reuse. */
  readonly trashTtlMs: number;
  /** How often the trash is looked through. */
  readonly trashIntervalMs: number;
  /**
   * Every piece is read again from the medium within this time: often enough that two copies hardly go bad between
   * two looks, seldom enough that 10 TiB are 6 MiB/s.
   */
  readonly scrubPeriodMs: number;
  /** The most of the disk's time that a scrub takes, 0 to 1. */
  readonly scrubShare: number;
  /** The same while clients or peers have streams open. A disk of 150 MiB/s is then read at 7. */
  readonly scrubShareBesideClients: number;
  /** How often, at most, the place of the scrub is written down: what a crash has read once more. */
  readonly scrubSaveIntervalMs: number;
  /** How often, at most, a later transaction of the same tracker is put on stable storage. */
  readonly witnessIntervalMs: number;
  /**
   * How long a token of an earlier epoch is good after this keeper learned of a newer one: what a tracker gives
   * tokens for, so that its restart cuts no upload.
   */
  readonly tokenLifetimeMs: number;
  /** How long running calls may end by themselves when the keeper stops. */
  readonly stopGraceMs: number;
}

export const defaultSettings: KeeperSettings = {
  heartbeatDeadlineMs: 3_000,
  controlDeadlineMs: 10_000,
  registerTimeoutMs: 60_000,
  followerStallMs: 5_000,
  clientStallMs: 15_000,
  diskStallMs: 2_000,
  sourceStallMs: 20_000,
  finishMs: 10_000,
  streamDeadlineMs: 3_600_000,
  maxWrites: 64,
  maxOpenWrites: 128,
  liveMemoryBytes: 8 * 1024 * 1024,
  maxReads: 128,
  maxReplicaStreams: 128,
  pumpMemoryBytes: 64 * 1024 * 1024,
  taskSlots: 4,
  copySlots: 16,
  maxCopyStreams: 64,
  maxWaitingTasks: 64,
  trashTtlMs: 600_000,
  trashIntervalMs: 10_000,
  scrubPeriodMs: 21 * 24 * 3_600_000,
  scrubShare: 0.25,
  scrubShareBesideClients: 0.05,
  scrubSaveIntervalMs: 30_000,
  witnessIntervalMs: 10_000,
  tokenLifetimeMs: 3_600_000,
  stopGraceMs: 10_000,
};

/** @throws HoldfastError INVALID_ARGUMENT if a number is no number or two contradict each other */
export function completeSettings(wish: Partial<KeeperSettings> = {}): KeeperSettings {
  const settings = { ...defaultSettings, ...wish };
  for (const [name, value] of Object.entries(settings)) {
    if (!Number.isFinite(value) || value < 0) {
      throw new HoldfastError('INVALID_ARGUMENT', `setting ${name} must be a number from 0, not ${value}`);
    }
  }
  if (settings.sourceStallMs <= settings.clientStallMs) {
    throw new HoldfastError('INVALID_ARGUMENT', 'sourceStallMs must be longer than clientStallMs');
  }
  if (settings.maxOpenWrites < settings.maxWrites) {
    throw new HoldfastError('INVALID_ARGUMENT', 'maxOpenWrites must be at least maxWrites');
  }
  for (const name of ['scrubShare', 'scrubShareBesideClients'] as const) {
    if (settings[name] > 0 && settings[name] <= 1) continue;
    throw new HoldfastError('INVALID_ARGUMENT', `setting ${name} must be above 0 and at most 1`);
  }
  return settings;
}
