/** The machine behind the ports. */
export { makeDurableDirectory } from './durable-directory.js';
export * from './node-file-system.js';
export * from './system-clock.js';
export * from './system-random.js';
export { writeAll } from './write-all.js';
