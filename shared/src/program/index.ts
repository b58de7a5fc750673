/**
 * What every program needs at its start: its configuration, its log, its life cycle, and its data directory
 * to itself. Only main modules and composition roots import this.
 */
export * from './announce.js';
export * from './config.js';
export * from './data-dir-lock.js';
export * from './describe-error.js';
export { didYouMean } from './did-you-mean.js';
export * from './lifecycle.js';
export * from './logging.js';
export * from './options.js';
export * from '../values/index.js';
