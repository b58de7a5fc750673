/** The tracker's background work: leases, changes of keepers, repair, reclamation, jobs. Each is a loop of small steps. */
import { type Clock, type Logger, Worker } from '@holdfast/shared';
import type { EventLog } from './events/event-log.js';
import type { Jobs } from './jobs/jobs.js';
import { queueNextPage } from './registry/keeper-changes.js';
import type { Reclaim } from './reclaim/reclaim.js';
import type { KeeperCare } from './registry/keeper-care.js';
import type { Registry } from './registry/registry.js';
import type { PlacementLook } from './repair/placement-look.js';
import type { Repair } from './repair/repair.js';
import type { MetadataStore } from './store/metadata-store.js';
import type { Uploads } from './uploads/uploads.js';

/** Sessions that one step ends, in one transaction with the first page of what each has left: about 20 ms. */
const expiredPerStep = 1;
/** Between two steps that both had all they could do: other calls get their turn. */
const busyPauseMs = 5;
/** Copies that end within this time are followed by one look at the queue: each look costs as much as many copies. */
const gatherMs = 20;

export interface WorkersParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly store: MetadataStore;
  readonly events: EventLog;
  readonly registry: Registry;
  readonly uploads: Uploads;
  readonly repair: Repair;
  readonly reclaim: Reclaim;
  readonly jobs: Jobs;
  readonly keeperCare: KeeperCare;
  readonly placementLook: PlacementLook;
  /** The pause between two looks at the leases. */
  readonly tickIntervalMs: number;
  readonly repairTickMs: number;
}

export interface Workers {
  readonly repair: Worker;
  readonly reclaim: Worker;
  readonly jobs: Worker;
  /** Wakes repair, once for all that calls within some milliseconds. */
  repairSoon(): void;
  start(): void;
  /** Resolves when no step runs any more. */
  stop(): Promise<void>;
}

export function createWorkers(parts: WorkersParts): Workers {
  const { clock, logger, registry, uploads, tickIntervalMs, repairTickMs } = parts;
  const worker = (name: string, idleMs: number, step: () => Promise<boolean>): Worker =>
    new Worker({
      name,
      clock,
      logger,
      step: async () => ({ nextInMs: (await step()) ? busyPauseMs : idleMs }),
    });
  const membership = worker('membership', tickIntervalMs, async () => {
    await registry.tick();
    return false;
  });
  const expiry = worker('upload expiry', tickIntervalMs, async () => {
    return (await uploads.expire(expiredPerStep)) === expiredPerStep;
  });
  const changes = worker('changes of keepers', tickIntervalMs, async () => {
    const more = await queueNextPage(parts.store, parts.events);
    if (more) repair.wake();
    return more;
  });
  const repair = worker('repair', repairTickMs, () => parts.repair.step());
  const reclaim = worker('reclaim', repairTickMs, () => parts.reclaim.step());
  const jobs = worker('jobs', repairTickMs, async () => {
    await parts.keeperCare.step();
    return parts.jobs.step();
  });
  const look = worker('placement look', repairTickMs, async () => {
    if (await parts.placementLook.step()) repair.wake();
    return false;
  });
  const all = [membership, expiry, changes, repair, reclaim, jobs, look];
  let isGathering = false;
  return {
    repair,
    reclaim,
    jobs,
    repairSoon: () => {
      if (isGathering) return;
      isGathering = true;
      clock.schedule(gatherMs, () => {
        isGathering = false;
        repair.wake();
      });
    },
    start: () => all.forEach((each) => each.start()),
    stop: async () => {
      await Promise.all(all.map((each) => each.stop()));
    },
  };
}
