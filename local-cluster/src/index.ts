/**
 * A whole Holdfast cluster on this machine, with a handle to stop, kill and restart any part of it.
 *
 * - `startCluster({ keepers: 3 })`: in this process, for tests and for embedding;
 * - `startProcessCluster({ dataDir, keepers: 3 })`: as processes of their own, for `npm start` and chaos.
 */
export {
  startProcessCluster,
  type StartProcessClusterOptions,
  type UnexpectedExit,
} from './child-process.js';
export { type Cluster, type KeeperOptions } from './cluster.js';
export { type Fault, type FaultName, type FaultOptions } from './faults.js';
export type { Gate, GateFault } from './gate.js';
export { startCluster, type StartClusterOptions } from './in-process.js';
export { type Member } from './member.js';
