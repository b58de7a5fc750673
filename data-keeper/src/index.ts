/** The data keeper as a library: start one inside a process, stop it, kill it. */
export { type DataKeeper, type DataKeeperOptions, startDataKeeper } from './composition.js';
export {
  type DataKeepers,
  type DataKeepersOptions,
  type KeeperNotStarted,
  startDataKeepers,
} from './several-keepers.js';
export { nodeFlags } from './node-flags.js';
export { type KeeperSettings, defaultSettings } from './settings.js';
