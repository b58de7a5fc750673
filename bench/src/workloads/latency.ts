/** The big file over a network that is far: what depends on round trips and windows, which loopback hides. */
import { Child } from '../children/child.js';
import type { Contender } from '../contender.js';
import type { ProxyMethods } from '../delay/proxy-process.js';
import type { Trial } from '../run/stage.js';
import { can } from './abilities.js';
import { measureBig, warmUp } from './big.js';
import { echoPair, latencies } from './machine.js';
import { standardReplicas } from './small.js';

const proxyModule = new URL('../delay/proxy-process.js', import.meta.url);

/** Between two data centres of one region. */
const roundTripMs = 4;

/** What a bare call takes through the proxy: the round trip as it really is, and the floor under every call. */
const bareCalls: Trial = {
  workload: 'latency',
  subject: 'grpc-js',
  label: 'grpc-js',
  async run(stage) {
    const { client, port, processes } = await echoPair(stage);
    const proxy = await stage.own(() => Child.start<ProxyMethods>(proxyModule));
    const delayed = await proxy.call('delay', port, roundTripMs / 2);
    const count = Math.ceil(stage.sizes.calls / 50); // a few milliseconds each
    const step = {
      case: { action: 'call', inFlight: 1, roundTripMs },
      unit: 'calls/s',
      count,
      processes,
    } as const;
    await stage.measure(step, async () => latencies(await client.call('call', delayed, count, 1)));
  },
};

export function latencyTrials(contenders: readonly Contender[]): Trial[] {
  const transfers = contenders.filter(can('delay')).map((contender): Trial => ({
    workload: 'latency',
    subject: contender.name,
    label: `${contender.name}, ${roundTripMs} ms`,
    async run(stage) {
      const source = await stage.source(stage.sizes.bigBytes);
      const running = await stage.start(contender, { replicas: standardReplicas, sync: true, roundTripMs });
      await warmUp(stage, running);
      const setting = { replicas: standardReplicas, roundTripMs };
      await measureBig(stage, running, source, setting, true);
      await running.remove('big');
      await measureBig(stage, running, source, { ...setting, inFlight: 1 }, true);
    },
  }));
  return [bareCalls, ...transfers];
}
