/** The data keeper as a library: start one inside a process, stop it, kill it. */
export { type DataKeeper, type DataKeeperOptions, startDataKeeper } from './composition.js';
export { nodeFlags } from './node-flags.js';
export { type KeeperSettings, defaultSettings } from './settings.js';
