/** One client, and many at once, that move the same bytes in all: what is lost by sharing, and who loses it. */
import type { Contender, Transfer } from '../contender.js';
import type { Details, Trial } from '../run/stage.js';
import { can, needed } from './abilities.js';
import { standardReplicas } from './small.js';

export function clientsTrials(contenders: readonly Contender[]): Trial[] {
  return contenders.filter(can('many clients')).map((contender) => ({
    workload: 'clients' as const,
    subject: contender.name,
    label: contender.name,
    async run(stage) {
      const running = await stage.start(contender, { replicas: standardReplicas, sync: true });
      for (const count of [1, stage.sizes.clients]) {
        const source = await stage.source(Math.ceil(stage.sizes.bigBytes / count));
        const clients = await stage.own(() => needed(running, 'connectMany')(count));
        // Each process has to compile what it runs: it moves as much beforehand as the process of a single client.
        const clientProcesses = clients.processes().filter(({ role }) => role === 'client').length;
        for (let round = 0; round < stage.sizes.warmUpRounds * clientProcesses; round += 1) {
          await clients.upload(source.path, `warm-up-${count}-${round}`);
          await clients.download(`warm-up-${count}-${round}`);
        }
        const bytes = source.sizeBytes * count;
        const step = (action: string) => ({
          case: { action, clients: count },
          ...{ unit: 'MB/s' as const, bytes, processes: clients.processes() },
        });
        const name = `file-${count}`;
        await stage.measure(step('up'), async () => shares(await clients.upload(source.path, name)));
        await stage.measure(step('down'), async () => {
          const transfers = await clients.download(name);
          stage.checkSame('length', bytesOf(transfers), bytes);
          return shares(transfers);
        });
        await clients.stop();
      }
    },
  }));
}

function bytesOf(transfers: readonly Transfer[]): number {
  return transfers.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** How evenly the clients were served: each one's bytes in its own time. */
function shares(transfers: readonly Transfer[]): Details {
  const rates = transfers.map(({ bytes, seconds }) => bytes / 1e6 / seconds);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const slowest = Math.min(...rates);
  return { meanMbPerSecond: mean, slowestMbPerSecond: slowest, slowestOverMean: slowest / mean };
}
