/** A process of `npm run simulate`: runs the seeds that it is sent, one after the other. */
import { runHistory } from './history.js';
import { sumOf } from './summary.js';

// Who presses Ctrl-C means all processes; the first of them tells this one when to end.
process.on('SIGINT', () => undefined);

process.on('message', (seed: number) => {
  const before = process.cpuUsage();
  void runHistory(seed).then((result) => {
    const { user, system } = process.cpuUsage(before);
    process.send?.({ seed, violation: result.violation, sum: sumOf(result, (user + system) / 1_000) });
  });
});
