/** A process of `npm run simulate`: runs the seeds that it is sent, one after the other. */
import { runHistory } from './history.js';
import { sumOf } from './summary.js';

process.on('message', (seed: number) => {
  void runHistory(seed).then((result) => {
    process.send?.({ seed, violation: result.violation, sum: sumOf(result) });
  });
});
