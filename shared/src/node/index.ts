/** The machine behind the ports. */
export * from './node-file-system.js';
export * from './system-clock.js';
export * from './system-random.js';
export { writeAll } from './write-all.js';
