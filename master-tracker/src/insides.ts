/**
 * The tracker's insides, for the tests and measurements of this repository: no promise to anybody else, and nothing
 * that a program of somebody else's should build on.
 */
export { openDatabase } from './store/sqlite/database.js';
