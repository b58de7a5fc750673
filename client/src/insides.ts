/**
 * The client's insides, for the simulation of this repository: no promise to anybody else, and nothing that a program
 * of somebody else's should build on.
 */
export { composeClient } from './compose.js';
