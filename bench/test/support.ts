/** Samples for tests, of which only what matters is said. */
import type { Sample } from '../src/samples.js';

export function sample(of: Partial<Sample>): Sample {
  return {
    workload: 'big',
    subject: 'holdfast',
    case: { action: 'up', replicas: 2 },
    round: 1,
    rate: 100,
    unit: 'MB/s',
    seconds: 1,
    bytes: 100e6,
    count: 1,
    details: {},
    usage: [],
    ...of,
  };
}
