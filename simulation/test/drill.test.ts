import { drill } from '../src/drill.js';
import { SeededRandom } from '../src/seeded-random.js';
import { SimulatedCluster } from '../src/simulated-cluster.js';
import { Trace } from '../src/trace.js';

/** Just after the fault of a drill began, which is ten seconds after its files are stored. */
const afterFaultMs = 10_500;

describe('a drill', () => {
  let cluster: SimulatedCluster;
  let trace: Trace;

  beforeEach(async () => {
    trace = new Trace();
    cluster = new SimulatedCluster(1, 4, trace);
    await cluster.start();
  });
  afterEach(() => cluster.dispose());

  const run = (kind: string): Promise<void> => drill(cluster, kind, new SeededRandom(1, kind));

  /** By which its pieces are copied, though it is waited for. */
  async function drainWhatStopped(): Promise<void> {
    const { client } = cluster.startClient('operator');
    const stopped = (await client.keepers()).find(({ state }) => state !== 'live');
    await client.drainKeeper(stopped?.keeperId ?? '');
  }

  // One of each sort: histories have the others (npm run simulate).
  it.each([
    "a keeper's power is cut",
    'two keepers are frozen',
    'a keeper stops in order',
    'a keeper hangs',
    'the tracker is killed',
  ])('finds that a cluster keeps its goals when %s, and leaves it whole', async (kind) => {
    await run(kind);
    const notes = trace.lines.filter((line) => line.includes(' drill '));
    expect(notes).toEqual([expect.stringContaining(kind), expect.stringContaining('of 30 done')]);
    expect(notes[0]).toMatch(/ [1-9]\d* chunks with one more piece/);
    expect(cluster.keepers.every(({ keeper }) => keeper !== undefined)).toBe(true);
  });

  it.each([
    [
      'last pieces that nobody copies',
      'a keeper is frozen',
      () => (cluster.network.onAnswer = (_, answer) => Object.assign(answer as object, { tasks: [] })),
      /^a keeper is frozen: nobody copies the last pieces of [0-9a-f]{32}/,
    ],
    [
      'last pieces that nobody copies as many keepers were lost',
      'two keepers are killed',
      () => (cluster.network.onAnswer = (_, answer) => Object.assign(answer as object, { tasks: [] })),
      /^two keepers are killed: nobody copies the last pieces of [0-9a-f]{32}/,
    ],
    [
      'pieces that are copied of a keeper that comes back',
      'a keeper stops in order',
      () => void drainWhatStopped(),
      /^a keeper stops in order: it is waited for, and pieces of [0-9a-f]{32}/,
    ],
    [
      'a read that waits',
      'a keeper is killed',
      () => cluster.keepers.forEach(({ disk }) => (disk.latencyMs = [2_000, 2_000])),
      /^a read of \/drill\/\d takes \d+ of 30\d\d ms/,
    ],
    [
      'that less is done than before',
      'the tracker is killed',
      () => (cluster.network.latencyMs = [500, 1_000]),
      /^the tracker is killed: 60000 ms later not as much is done as before/,
    ],
    [
      'an operation that fails',
      'a keeper is killed',
      () => cluster.keepers.forEach((each) => cluster.network.hang(each.name)),
      /^in a drill an operation ends with/,
    ],
  ])('notices %s', async (_, kind, happen, violation) => {
    cluster.time.after(afterFaultMs, happen);
    await expect(run(kind)).rejects.toThrow(violation);
  });
});
