/** Everything that the bench knows how to run. */
import type { Contender } from './contender.js';
import { cp } from './floors/cp.js';
import { http } from './floors/http.js';
import { commandLine } from './holdfast/command-line.js';
import { holdfast } from './holdfast/holdfast.js';

/** The product first: ratios are its figure over another's. */
export const ownContenders: readonly Contender[] = [holdfast, commandLine, http, cp];
