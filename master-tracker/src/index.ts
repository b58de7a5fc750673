/** The master tracker as a library: start one inside a process of your own. */
export { type MasterTracker, type MasterTrackerOptions, startMasterTracker } from './composition.js';
export { type TrackerSettings, defaultSettings } from './settings.js';
