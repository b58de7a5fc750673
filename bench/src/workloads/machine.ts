/** What the machine and Node can do before anybody stores a file: the floors that others are compared with. */
import { Child } from '../children/child.js';
import type { Methods } from '../children/serve.js';
import { syncBlocks } from '../floors/disk-syncs.js';
import { memoryCopier } from '../floors/memory.js';
import type { TcpMethods } from '../floors/tcp-process.js';
import type { UnaryMethods } from '../floors/unary-process.js';
import { nodeSettings } from '../node-settings.js';
import type { Details, Stage, Trial } from '../run/stage.js';
import { percentile } from '../stats.js';

const tcpModule = new URL('../floors/tcp-process.js', import.meta.url);
const unaryModule = new URL('../floors/unary-process.js', import.meta.url);

/** One at a time for the latency, and as many as a busy program has under way. */
export const callsInFlight = [1, 64];
/** One at a time for the disk's own rate, and as many as the thread pool takes at once. */
const syncsInFlight = [1, 16];
/** One at a time takes longer, and needs fewer calls for a steady figure. */
const singleFraction = 1 / 4;

export const machineTrials: readonly Trial[] = [
  floor('memory', async (stage) => {
    const bytes = stage.sizes.bigBytes;
    const copy = memoryCopier(bytes);
    copy(); // the first pass maps the pages
    await stage.measure({ case: { action: 'copy' }, unit: 'MB/s', bytes }, async () => copy());
  }),
  floor('tcp', async (stage) => {
    const [receiver, sender] = await pair<TcpMethods>(stage, tcpModule);
    const bytes = stage.sizes.bigBytes;
    const port = await receiver.call('receive');
    await sender.call('send', port, bytes); // warm
    const processes = processesOf(sender, receiver);
    const step = { case: { action: 'send' }, unit: 'MB/s', bytes, processes } as const;
    await stage.measure(step, () => sender.call('send', port, bytes));
    stage.checkSame('length', await receiver.call('received'), 2 * bytes);
  }),
  floor('disk', async (stage) => {
    const count = stage.sizes.syncs;
    for (const inFlight of syncsInFlight) {
      const step = {
        case: { action: 'write and sync', sizeBytes: 4_096, inFlight },
        unit: 'syncs/s',
        count,
      } as const;
      await stage.measure(step, async () => latencies(await syncBlocks(stage.dataDir, count, inFlight)));
    }
  }),
  floor('grpc-js', async (stage) => {
    const { client, port, processes } = await echoPair(stage);
    for (const inFlight of callsInFlight) {
      const count = inFlight === 1 ? Math.ceil(stage.sizes.calls * singleFraction) : stage.sizes.calls;
      const step = { case: { action: 'call', inFlight }, unit: 'calls/s', count, processes } as const;
      await stage.measure(step, async () => latencies(await client.call('call', port, count, inFlight)));
    }
  }),
];

function floor(subject: string, run: (stage: Stage) => Promise<void>): Trial {
  return { workload: 'machine', subject, label: subject, run };
}

/** A server that echoes, and a client that has called it. */
export async function echoPair(stage: Stage) {
  const [server, client] = await pair<UnaryMethods>(stage, unaryModule);
  const port = await server.call('listen');
  await client.call('call', port, stage.sizes.calls, 64); // warm
  return { client, port, processes: processesOf(client, server) };
}

/** Both ends, as processes of their own. */
async function pair<M extends Methods>(stage: Stage, module: URL): Promise<[Child<M>, Child<M>]> {
  const start = (): Promise<Child<M>> => stage.own(() => Child.start<M>(module, nodeSettings));
  return [await start(), await start()];
}

function processesOf(client: { readonly pid: number }, server: { readonly pid: number }) {
  return [
    { role: 'client', pid: client.pid },
    { role: 'server', pid: server.pid },
  ];
}

/** The middle and the tail of many times. */
export function latencies(ms: Float64Array): Details {
  return { p50Ms: percentile(ms, 0.5), p99Ms: percentile(ms, 0.99) };
}
