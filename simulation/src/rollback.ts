/**
 * Metadata that goes backwards (S9): a tracker is started from an older copy of it, and some minutes later from the newest
 * one again, as its remedy says. Meanwhile it has to say so, to change nothing and to have nothing deleted; whatever was
 * acknowledged before is there afterwards, for the judge of the whole history to see.
 */
import { type ClusterStatus, type HoldfastClient, HoldfastError, hasCode } from '@holdfast/client';
import type { Clock } from '@holdfast/shared';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedCluster } from './simulated-cluster.js';
import { Violation } from './violation.js';

/** All keepers have been heard of by then, also one that was started again just now. */
const patienceMs = 60_000;
/** Longer than whatever gives something up at a history's settings: leases, tokens, the trash and its grace. */
const servedMs: readonly [number, number] = [30_000, 240_000];
/** Between two things that happen meanwhile. */
const pauseMs = 15_000;

/** Needs a copy of the metadata, and clients that do nothing. @throws Violation */
export async function rollBack(cluster: SimulatedCluster, random: SeededRandom): Promise<void> {
  const { client, process } = cluster.startClient('rollback');
  // Or they could not have seen anything that the copy lacks.
  await until('the keepers are not live', client, process.clock, ({ keepers }) =>
    cluster.keepers.every(({ keeper }) =>
      keepers.some(({ keeperId, state }) => keeperId === keeper?.keeperId && state === 'live'),
    ),
  );
  cluster.trace.add('nemesis', 'the tracker is started from an older copy of its metadata');
  // Its cursor is of a history that this tracker does not know.
  cluster.network.cut('watcher', 'tracker');
  cluster.restoreMetadata('older');
  const silent = 'the metadata went backwards, and the tracker does not say so';
  await until(silent, client, process.clock, (status) => status.metadataRegressed);
  const untilMs = cluster.time.nowMs + random.integer(...servedMs);
  while (cluster.time.nowMs < untilMs) {
    await process.clock.sleep(random.fraction() * pauseMs);
    await changesNothing(client);
    const keeper = random.pick(cluster.keepers);
    if (random.chance(0.5)) cluster.killKeeper(keeper);
    else await client.status().catch(() => undefined);
    cluster.startKeeper(keeper);
  }
  cluster.trace.add('nemesis', 'the tracker is started from the newest copy of its metadata');
  cluster.restoreMetadata('newest');
  cluster.network.mend();
}

async function until(
  otherwise: string,
  client: HoldfastClient,
  clock: Clock,
  isSo: (status: ClusterStatus) => boolean,
): Promise<void> {
  const untilMs = clock.monotonicMs() + patienceMs;
  for (;;) {
    const status = await client.status().catch(() => undefined);
    if (status && isSo(status)) return;
    if (clock.monotonicMs() > untilMs) throw new Violation(otherwise);
    await clock.sleep(500);
  }
}

async function changesNothing(client: HoldfastClient): Promise<void> {
  try {
    await client.makeDirectory('/made-while-behind', { parents: true });
  } catch (error) {
    if (hasCode(error, 'METADATA_REGRESSED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED')) return;
    throw HoldfastError.is(error) ? new Violation(`a change is refused with ${String(error)}`) : error;
  }
  throw new Violation('a tracker whose metadata went backwards made a change');
}
