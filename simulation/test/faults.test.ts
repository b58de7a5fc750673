import { type PlannedFault, Nemesis } from '../src/nemesis.js';
import { SeededRandom } from '../src/seeded-random.js';
import { SimulatedCluster } from '../src/simulated-cluster.js';
import { Trace } from '../src/trace.js';

/** Fewer than in a history, so that the same is often hit again. */
const keepers = 3;
const faultMs = 1_000;

/** Many faults of one kind, one after the other, each of which has ended when the next begins. */
function many(kind: string, count: number): PlannedFault[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{ kind, atMs: (2 * index + 1) * faultMs, durationMs: faultMs, seed: index },
  }));
}

/** A cluster with some clients, under faults, for as long as `use` takes. */
async function under(
  faults: readonly PlannedFault[],
  use: (cluster: SimulatedCluster, nemesis: Nemesis, trace: Trace) => Promise<void>,
): Promise<void> {
  const trace = new Trace();
  const cluster = new SimulatedCluster(1, keepers, trace);
  try {
    await cluster.start();
    for (const name of ['client-1', 'client-1', 'watcher']) cluster.startClient(name);
    const nemesis = new Nemesis(cluster, new SeededRandom(1, 'nemesis'));
    nemesis.start(faults);
    await use(cluster, nemesis, trace);
  } finally {
    cluster.dispose();
  }
}

const pass = (cluster: SimulatedCluster, ms: number): Promise<boolean> =>
  cluster.time.runUntil(() => false, ms);

describe('a fault', () => {
  it('cuts links that somebody uses, of every client too', async () => {
    const kind = 'cut a link one way';
    await under(many(kind, 60), async (cluster, nemesis, trace) => {
      await pass(cluster, 121 * faultMs);
      const links = trace.lines.flatMap((line) => {
        const [, from, to] = / (\S+) does not reach (\S+)$/.exec(line) ?? [];
        return from !== undefined && to !== undefined ? [[from, to]] : [];
      });
      expect(links).toHaveLength(60);
      expect(nemesis.done.get(kind)).toBe(60);
      const servers = new Set(['tracker', ...cluster.keepers.map(({ name }) => name)]);
      for (const [from = '', to = ''] of links) {
        expect(from).not.toBe(to);
        expect(servers.has(from) || servers.has(to)).toBe(true);
      }
      expect(new Set(links.flat())).toEqual(new Set([...servers, 'client-1', 'watcher']));
    });
  });

  it.each(['flip bits', 'freeze the tracker', 'hang the tracker', 'kill the tracker'])(
    'is not counted where there is nothing to hit: %s',
    async (kind) => {
      await under(many(kind, 1), async (cluster, nemesis) => {
        cluster.killTracker();
        await pass(cluster, 2 * faultMs);
        expect(nemesis.done.get(kind)).toBeUndefined();
      });
    },
  );

  it('turns clocks that stay wrong over a restart, of servers and clients', async () => {
    const kind = 'change a wall clock';
    await under(many(kind, 40), async (cluster, nemesis) => {
      await pass(cluster, 81 * faultMs);
      expect(nemesis.done.get(kind)).toBe(40);
      const [wrong] = cluster.keepers.filter(({ name }) => cluster.machine(name).wallOffsetMs !== 0);
      if (!wrong) throw new Error('no clock of a keeper is wrong');
      const before = wrong.process?.clock.wallMs() ?? 0;
      cluster.killKeeper(wrong);
      cluster.startKeeper(wrong);
      expect(wrong.process?.clock.wallMs()).toBe(before);
      const [client] = cluster.clients.filter(({ name }) => cluster.machine(name).wallOffsetMs !== 0);
      const right = cluster.startClient('right').process.clock.wallMs();
      expect(client?.process.clock.wallMs()).not.toBe(right);
    });
  });

  it('freezes clients, and kills those that another takes over from', async () => {
    const kinds = ['freeze a client', 'kill a client'];
    const faults = kinds.flatMap((kind) => many(kind, 3));
    await under(faults, async (cluster, nemesis) => {
      let killed = 0;
      const start = (): void => {
        const onKilled = (): void => {
          killed += 1;
          start();
        };
        cluster.startClient('client-2', onKilled);
      };
      start();
      await pass(cluster, faultMs + 1);
      expect(cluster.clients.filter(({ process }) => process.frozen)).toHaveLength(1);
      await pass(cluster, 6 * faultMs);
      expect(killed).toBe(3);
      expect(cluster.clients.some(({ process }) => process.frozen || !process.alive)).toBe(false);
      expect(nemesis.done).toEqual(new Map(kinds.map((kind) => [kind, 3])));
    });
  });

  it('stops keepers and the tracker by their own way to stop, and starts them again', async () => {
    const kinds = ['stop a keeper in order', 'stop the tracker in order'];
    const faults = kinds.map((kind, index) => ({
      ...{ kind, atMs: (1 + 10 * index) * faultMs, durationMs: 5 * faultMs, seed: 1 },
    }));
    await under(faults, async (cluster, nemesis, trace) => {
      const { client, process } = cluster.startClient('client-2');
      const before = process.clock.monotonicMs();
      await pass(cluster, 5 * faultMs);
      // Nobody waits for it: it has said that it goes.
      const keepers = await cluster.time.finish('asking', client.keepers(), 10_000);
      expect(keepers.map(({ state }) => state).sort()).toEqual(['live', 'live', 'maintenance']);
      await pass(cluster, 20 * faultMs);
      expect(trace.lines.filter((line) => line.endsWith(' has stopped'))).toHaveLength(2);
      expect([...nemesis.done.keys()]).toEqual(kinds);
      const after = await cluster.time.finish('asking', client.keepers(), 10_000);
      expect(after.map(({ state }) => state)).toEqual(['live', 'live', 'live']);
      expect(process.clock.monotonicMs() - before).toBeLessThan(60_000);
    });
  });

  it('cuts the power of the tracker, of which nobody is told', async () => {
    const fault = { atMs: faultMs, durationMs: 5 * faultMs, seed: 1 };
    for (const [kind, isTold] of [
      ['kill the tracker', true],
      ['cut the power of the tracker', false],
    ] as const) {
      await under([{ ...fault, kind }], async (cluster) => {
        await pass(cluster, faultMs + 1);
        const { client } = cluster.startClient('client-2');
        const asked = client.status().catch(() => undefined);
        await pass(cluster, 3 * faultMs);
        const step = '/holdfast.tracker.v1.ClusterService/GetClusterStatus unknown';
        expect((cluster.network.steps.get(step) ?? 0) > 0).toBe(isTold);
        await cluster.time.finish('asking', asked, 120_000);
      });
    }
  });
});
