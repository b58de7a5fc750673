/**
 * What at least two of Holdfast's packages use, free of input and output: errors, limits, ports, the domain's
 * words, concurrency. What touches the world has entries of its own: `@holdfast/shared/grpc` (channels, calls,
 * servers, messages), `@holdfast/shared/node` (the machine behind the ports), `@holdfast/shared/program`
 * (configuration, logging, life cycle of a program), `@holdfast/shared/values` (sizes and the like, as typed).
 */
export * from './errors/index.js';
export * from './limits.js';
export * from './ports/clock.js';
export { makeDataDirectory } from './ports/data-directory.js';
export * from './ports/file-system.js';
export * from './ports/logger.js';
export * from './ports/random.js';
export * from './domain/authority.js';
export * from './domain/bytes.js';
export * from './domain/checksum.js';
export * from './domain/crc32.js';
export * from './domain/ids.js';
export * from './domain/keeper-endpoint.js';
export * from './domain/paths.js';
export * from './domain/policy.js';
export * from './domain/receipts.js';
export * from './domain/tokens.js';
export * from './concurrency/byte-budget.js';
export * from './concurrency/cancellation.js';
export * from './concurrency/retry.js';
export * from './concurrency/worker.js';
