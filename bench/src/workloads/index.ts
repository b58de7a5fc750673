/** All that can be run, in the order of the results. */
import type { Contender } from '../contender.js';
import type { Sizes } from '../run/sizes.js';
import type { Trial } from '../run/stage.js';
import { bigTrials } from './big.js';
import { clientsTrials } from './clients.js';
import { latencyTrials } from './latency.js';
import { machineTrials } from './machine.js';
import { metadataTrials } from './metadata.js';
import { rangeTrials } from './ranges.js';
import { smallTrials } from './small.js';
import { treeTrials } from './trees.js';

export function allTrials(contenders: readonly Contender[], sizes: Sizes): Trial[] {
  return [
    ...machineTrials,
    ...bigTrials(contenders, sizes),
    ...clientsTrials(contenders),
    ...smallTrials(contenders, sizes),
    ...treeTrials(contenders),
    ...rangeTrials(contenders),
    ...metadataTrials(contenders),
    ...latencyTrials(contenders),
  ];
}
