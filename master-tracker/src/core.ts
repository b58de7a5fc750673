/**
 * The tracker's core, put together on an open store and free of the wire: what the handlers call. Tests build it
 * as the program does.
 */
import type { Clock, Logger, Random } from '@holdfast/shared';
import { type TrackerIdentity, takeIdentity } from './cluster/identity.js';
import { RegressionGuard } from './cluster/regression.js';
import { StatusReporter } from './cluster/status.js';
import { TokenIssuer } from './cluster/tokens.js';
import { TransactionTimes } from './cluster/transaction-times.js';
import { EventLog } from './events/event-log.js';
import { Drain } from './jobs/drain.js';
import { Jobs } from './jobs/jobs.js';
import { Rebalance } from './jobs/rebalance.js';
import { Scrub } from './jobs/scrub.js';
import { Locations } from './locations/locations.js';
import { Membership } from './membership/membership.js';
import { Namespace } from './namespace/namespace.js';
import { Reclaim } from './reclaim/reclaim.js';
import { FullReports } from './registry/full-report.js';
import { KeeperCare } from './registry/keeper-care.js';
import { loadKeepers } from './registry/known-keepers.js';
import { Registry } from './registry/registry.js';
import { TaskBoard } from './registry/task-board.js';
import { InFlightTable } from './repair/in-flight.js';
import { PlacementLook } from './repair/placement-look.js';
import { Repair } from './repair/repair.js';
import type { TrackerSettings } from './settings.js';
import type { MetadataStore } from './store/metadata-store.js';
import { Allocator } from './uploads/allocation.js';
import { UploadLeases } from './uploads/leases.js';
import { Uploads } from './uploads/uploads.js';
import { type Workers, createWorkers } from './workers.js';

export interface CoreOptions {
  readonly store: MetadataStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: TrackerSettings;
}

export interface TrackerCore {
  readonly identity: TrackerIdentity;
  readonly membership: Membership;
  readonly tokens: TokenIssuer;
  readonly namespace: Namespace;
  readonly uploads: Uploads;
  readonly locations: Locations;
  readonly registry: Registry;
  readonly status: StatusReporter;
  readonly events: EventLog;
  readonly repair: Repair;
  readonly reclaim: Reclaim;
  readonly jobs: Jobs;
  readonly keeperCare: KeeperCare;
  readonly placementLook: PlacementLook;
  readonly workers: Workers;
}

/** Five looks within the time that decides whether a keeper is suspect, and one a second at least. */
function tickIntervalMs({ suspectAfterMs }: TrackerSettings): number {
  return Math.min(1_000, suspectAfterMs / 5);
}

/** Takes the next epoch and builds the core. Nothing runs until `workers.start()`. */
export async function buildCore(options: CoreOptions): Promise<TrackerCore> {
  const { store, clock, random, logger, settings } = options;
  const identity = await takeIdentity(store, random, clock);
  const membership = new Membership({
    nowMs: clock.monotonicMs(),
    expected: await loadKeepers(store),
    limits: {
      suspectAfterMs: settings.suspectAfterMs,
      deadAfterMs: settings.deadAfterMs,
      maintenanceMs: settings.maintenanceMs,
      tickIntervalMs: tickIntervalMs(settings),
      // Below suspectAfterMs, or keepers would be suspected for the tracker's own pause.
      pauseToleranceMs: Math.min(2_000, settings.suspectAfterMs * 0.4),
    },
  });
  const guard = new RegressionGuard(store, identity, logger);
  const tokens = new TokenIssuer(identity, clock, settings.tokenLifetimeMs);
  const tasks = new TaskBoard(clock, random);
  const inFlight = new InFlightTable();
  const events = new EventLog(store, clock);
  const reports = new FullReports(store, logger);
  const common = {
    store,
    clock,
    random,
    logger,
    events,
    guard,
    membership,
    identity,
    tokens,
    tasks,
    inFlight,
  };

  const repair = new Repair({ ...common, limits: settings.repairLimits });
  const reclaim = new Reclaim({
    ...common,
    times: transactionTimes(options),
    ...settings,
    reports,
    graceMs: settings.reclaimGraceMs,
    wordLifetimeMs: settings.deadAfterMs,
  });
  const uploads = new Uploads({
    ...common,
    allocator: new Allocator(membership, random, tokens),
    leases: await loadLeases(options),
  });
  const scrub = new Scrub(common);
  const jobs = new Jobs({
    ...common,
    // The one table of what can be asked for: another kind of job is another line.
    runners: [new Drain({ ...common, reports, repair }), new Rebalance({ ...common, repair }), scrub],
    onChange: () => {
      workers.jobs.wake();
      workers.repair.wake();
    },
  });
  const registry = new Registry({
    ...common,
    reports,
    onRepairNews: () => workers.repair.wake(),
    onScrubEnded: (keeperId, error) => scrub.taskEnded(keeperId, error),
  });
  const keeperCare = new KeeperCare({ ...common, registry });
  const placementLook = new PlacementLook({ ...common, repair });
  const workers = createWorkers({
    ...common,
    registry,
    uploads,
    repair,
    reclaim,
    jobs,
    keeperCare,
    placementLook,
    tickIntervalMs: tickIntervalMs(settings),
    repairTickMs: settings.repairTickMs,
  });
  return {
    identity,
    membership,
    tokens,
    namespace: new Namespace({ ...common, onUnlinked: () => workers.reclaim.wake() }),
    uploads,
    locations: new Locations(common),
    registry,
    status: new StatusReporter(common),
    events,
    repair,
    reclaim,
    jobs,
    keeperCare,
    placementLook,
    workers,
  };
}

/** Remembers times for as long as the longest question that reclamation asks. */
function transactionTimes({ store, clock, settings }: CoreOptions): TransactionTimes {
  const { reclaimGraceMs, tokenLifetimeMs, requestRetentionMs, deadAfterMs } = settings;
  const keepMs = Math.max(reclaimGraceMs, 2 * tokenLifetimeMs, requestRetentionMs, deadAfterMs);
  return new TransactionTimes(clock, store.transactionId, keepMs);
}

async function loadLeases({ store, clock, settings }: CoreOptions): Promise<UploadLeases> {
  const open = await store.read(({ db }) =>
    db.selectFrom('uploads').select('upload_id').where('state', '=', 'open').execute(),
  );
  const uploadIds = open.map((row) => row.upload_id);
  return new UploadLeases(clock, settings.uploadLeaseMs, settings.maxOpenUploads, uploadIds);
}
