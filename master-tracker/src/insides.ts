/**
 * The tracker's insides, for the tests and measurements of this repository: no promise to anybody else, and nothing
 * that a program of somebody else's should build on.
 */
export { type TrackerCore, buildCore } from './core.js';
export { createTrackerServer } from './grpc/server.js';
export { queueNextPage } from './registry/keeper-changes.js';
export { defaultSettings } from './settings.js';
export { openDatabase } from './store/sqlite/database.js';
export { type SqliteStore, openSqliteStore } from './store/sqlite/sqlite-store.js';
export { stopInOrder } from './stop.js';
export { giveUpNextPage } from './uploads/leftovers.js';
