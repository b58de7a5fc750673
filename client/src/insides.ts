/**
 * The client's insides, for the simulation and the tests of this repository: no promise to anybody else, and nothing
 * that a program of somebody else's should build on.
 */
export { runCli } from './cli/run.js';
export { composeClient } from './compose.js';
