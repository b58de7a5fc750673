/** Whole clusters under a seed, on virtual time. */
export { type HistoryResult, runHistory } from './history.js';
export { faultKinds } from './nemesis.js';
