/** All guards: what stands between a defect and somebody's bytes, each with the test that fails without it. */
import { clientGuards } from './client.mjs';
import { dataKeeperGuards } from './data-keeper.mjs';
import { masterTrackerGuards } from './master-tracker.mjs';
import { sharedGuards } from './shared.mjs';
import { inWholeCluster } from './whole-cluster.mjs';

const packageGuards = [...sharedGuards, ...dataKeeperGuards, ...masterTrackerGuards, ...clientGuards];

export const guards = [...packageGuards, ...inWholeCluster(packageGuards)];
