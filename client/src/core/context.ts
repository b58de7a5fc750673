/** What the client's core is given from outside: the two services, time, randomness, and its shared bounds. */
import type { ByteBudget, Clock, Random } from '@holdfast/shared';
import type { KeeperApi } from '../ports/keeper-api.js';
import type { TrackerApi } from '../ports/tracker-api.js';
import type { WatchApi } from '../ports/watch.js';
import type { KeeperHealth } from './keeper-health.js';

export interface ClientContext {
  readonly tracker: TrackerApi & WatchApi;
  readonly keepers: KeeperApi;
  readonly clock: Clock;
  readonly random: Random;
  /** What all transfers of the client together may buffer. */
  readonly memory: ByteBudget;
  readonly health: KeeperHealth;
}
