/** Calls that move no bytes: how fast names are looked up, listed and made. */
import type { Contender, MetadataCall } from '../contender.js';
import type { Trial } from '../run/stage.js';
import { can, needed } from './abilities.js';
import { callsInFlight, latencies } from './machine.js';
import { standardReplicas } from './small.js';

const calls: readonly MetadataCall[] = ['stat', 'list', 'mkdir'];
/** One at a time needs fewer for a steady figure. */
const singleFraction = 1 / 5;
/** A listing of 100 entries is a hundred times the answer of the others. */
const listFraction = 1 / 5;

export function metadataTrials(contenders: readonly Contender[]): Trial[] {
  return contenders.filter(can('metadata')).map((contender) => ({
    workload: 'metadata' as const,
    subject: contender.name,
    label: contender.name,
    async run(stage) {
      const running = await stage.start(contender, { replicas: standardReplicas, sync: true });
      const callMany = needed(running, 'callMany');
      const all = stage.sizes.metadataCalls;
      for (const call of calls) {
        const enough = call === 'list' ? all * listFraction : all;
        await callMany(call, Math.ceil(enough * singleFraction), 16); // warm
        for (const inFlight of callsInFlight) {
          const count = Math.ceil(inFlight === 1 ? enough * singleFraction : enough);
          const step = {
            case: { action: call, inFlight },
            ...{ unit: 'calls/s' as const, count, processes: running.processes() },
          };
          await stage.measure(step, async () => latencies(await callMany(call, count, inFlight)));
        }
      }
    },
  }));
}
