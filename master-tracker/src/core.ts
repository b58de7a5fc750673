/**
 * The tracker's core, put together on an open store and free of the wire: what the handlers call. Tests build it
 * as the program does.
 */
import type { Clock, Logger, Random } from '@holdfast/shared';
import { Watches } from './changes/watches.js';
import { ClusterCheck } from './check/cluster-check.js';
import { type TrackerIdentity, takeIdentity } from './cluster/identity.js';
import { LossPreviewer } from './cluster/loss.js';
import { Explainer } from './cluster/explain.js';
import { RegressionGuard } from './cluster/regression.js';
import { ServedTime } from './cluster/served-time.js';
import { StatusReporter } from './cluster/status.js';
import { TokenIssuer } from './cluster/tokens.js';
import { TransactionTimes } from './cluster/transaction-times.js';
import { EventLog } from './events/event-log.js';
import { Check } from './jobs/check.js';
import { Drain } from './jobs/drain.js';
import { Jobs } from './jobs/jobs.js';
import { Rebalance } from './jobs/rebalance.js';
import { Scrub } from './jobs/scrub.js';
import { Locations } from './locations/locations.js';
import { Readers } from './locations/readers.js';
import { Membership } from './membership/membership.js';
import { Namespace } from './namespace/namespace.js';
import { Reclaim, lookUpMs } from './reclaim/reclaim.js';
import { FullReports } from './registry/full-report.js';
import { KeeperCare } from './registry/keeper-care.js';
import { loadKeepers } from './registry/known-keepers.js';
import { Registry } from './registry/registry.js';
import { TaskBoard } from './registry/task-board.js';
import { UnknownPieces } from './registry/unknown-pieces.js';
import { InFlightTable } from './repair/in-flight.js';
import { PlacementLook } from './repair/placement-look.js';
import { RepairRuns } from './repair/repair-runs.js';
import { Repair } from './repair/repair.js';
import type { TrackerSettings } from './settings.js';
import type { MetadataStore } from './store/metadata-store.js';
import { Trash } from './trash/trash.js';
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
  readonly guard: RegressionGuard;
  readonly membership: Membership;
  readonly tokens: TokenIssuer;
  readonly namespace: Namespace;
  readonly trash: Trash;
  readonly watches: Watches;
  readonly uploads: Uploads;
  readonly locations: Locations;
  readonly registry: Registry;
  readonly reports: FullReports;
  readonly unknownPieces: UnknownPieces;
  readonly status: StatusReporter;
  readonly explainer: Explainer;
  readonly losses: LossPreviewer;
  readonly events: EventLog;
  readonly repair: Repair;
  readonly reclaim: Reclaim;
  readonly jobs: Jobs;
  readonly check: ClusterCheck;
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
  const events = new EventLog(store, clock);
  const identity = await takeIdentity(store, random, clock, events);
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
  const guard = new RegressionGuard(store, identity, logger, events);
  const tokens = new TokenIssuer(identity, clock, settings.tokenLifetimeMs);
  const tasks = new TaskBoard(clock, random);
  const inFlight = new InFlightTable();
  const runs = new RepairRuns({ store, clock, events, membership });
  const served = new ServedTime(clock, store.counters.served_ms);
  const rules = { retentionMs: settings.trashRetentionMs, served, clock };
  const readers = new Readers({
    clock,
    lastVersion: store.counters.last_version,
    // Whoever goes on reading asks again at the end of a token at the latest, if it is not held up for too long.
    holdMs: settings.tokenLifetimeMs + settings.reclaimGraceMs,
  });
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
    runs,
    rules,
    readers,
  };

  const times = transactionTimes(options);
  const unknownPieces = new UnknownPieces({ ...common, times, unknownGraceMs: settings.unknownGraceMs });
  const reports = new FullReports({ store, logger, random, events, unknown: unknownPieces });
  const repair = new Repair({
    ...common,
    limits: settings.repairLimits,
    repairRateBytesPerS: settings.repairRateBytesPerS,
  });
  const trash = new Trash(common);
  const reclaim = new Reclaim({
    ...common,
    trash,
    times,
    ...settings,
    reports,
    graceMs: settings.reclaimGraceMs,
    wordLifetimeMs: settings.deadAfterMs,
  });
  const uploads = new Uploads({
    ...common,
    allocator: new Allocator(membership, random, tokens, () => {
      reclaim.noteRefused();
      workers.reclaim.wake();
      return reclaim.isRoomOnItsWay();
    }),
    leases: await loadLeases(options),
  });
  const check = new ClusterCheck({ ...common, reports });
  const scrub = new Scrub(common);
  const jobs = new Jobs({
    ...common,
    // The one table of what can be asked for: another kind of job is another line.
    runners: [
      new Drain({ ...common, reports, repair }),
      new Rebalance({ ...common, repair }),
      scrub,
      new Check(check),
    ],
    onChange: () => {
      workers.jobs.wake();
      workers.repair.wake();
    },
  });
  const registry = new Registry({
    ...common,
    reports,
    reportIntervalMs: settings.reportIntervalMs,
    onRepairNews: () => workers.repairSoon(),
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
  const namespace = new Namespace({ ...common, onUnlinked: () => workers.reclaim.wake() });
  return {
    identity,
    guard,
    membership,
    tokens,
    namespace,
    trash,
    watches: new Watches({ ...common, watchHeartbeatMs: settings.watchHeartbeatMs }),
    uploads,
    locations: new Locations(common),
    registry,
    reports,
    unknownPieces,
    status: new StatusReporter({ ...common, repair, placementLook }),
    explainer: new Explainer({ ...common, namespace, repair }),
    losses: new LossPreviewer({ ...common, ...settings }),
    events,
    repair,
    reclaim,
    jobs,
    check,
    keeperCare,
    placementLook,
    workers,
  };
}

/** Remembers times for as long as the longest question that reclamation asks. */
function transactionTimes({ store, clock, settings }: CoreOptions): TransactionTimes {
  const { reclaimGraceMs, tokenLifetimeMs, requestRetentionMs, unknownGraceMs, deadAfterMs } = settings;
  const keepMs = Math.max(
    ...[reclaimGraceMs, 2 * tokenLifetimeMs, requestRetentionMs, unknownGraceMs, deadAfterMs, lookUpMs],
  );
  return new TransactionTimes(clock, store.transactionId, keepMs);
}

async function loadLeases({ store, clock, settings }: CoreOptions): Promise<UploadLeases> {
  const open = await store.read(({ db }) =>
    db.selectFrom('uploads').select(['upload_id', 'lease_ms']).where('state', '=', 'open').execute(),
  );
  const leases = new UploadLeases(clock, settings);
  for (const { upload_id, lease_ms } of open) leases.renew(upload_id, lease_ms ?? undefined);
  return leases;
}
