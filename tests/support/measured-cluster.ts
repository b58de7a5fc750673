/**
 * A cluster of processes of which leaks show, measured as soon as it runs: so its scenario can end with the look that
 * all is as it was then.
 */
import { type Cluster, startProcessCluster } from '@holdfast/local-cluster';
import { expectNothingHeld, footprintsOf, serversOf } from './footprint.js';
import { expectChecked } from './oracle.js';
import { preloading } from './preloading.js';

interface MeasuredCluster {
  readonly cluster: Cluster;
  /**
   * The end of a scenario: waits until the cluster's own check finds nothing, then until nobody holds more than after
   * the start. Who does not run by then is passed by.
   *
   * @throws Error that says what is found, or who holds what
   */
  readonly expectAsBefore: () => Promise<void>;
}

/** With the usual times, and with nothing stored yet: what its servers hold by then is what they may hold in the end. */
export async function startMeasuredCluster(keepers: number, dataDir: string): Promise<MeasuredCluster> {
  const environment = preloading('leaks-show.mjs', 'soon-idle.mjs');
  const cluster = await startProcessCluster({ dataDir, keepers, environment });
  try {
    const before = await footprintsOf(serversOf(cluster));
    const expectAsBefore = async (): Promise<void> => {
      await expectChecked(cluster);
      await expectNothingHeld(serversOf(cluster), before);
    };
    return { cluster, expectAsBefore };
  } catch (error) {
    // Nobody else could stop it.
    await cluster.stop();
    throw error;
  }
}
