import { SimulatedCluster } from '../src/simulated-cluster.js';
import { Trace } from '../src/trace.js';

describe('a network that loses calls', () => {
  it('loses some before they take effect and some after it, and tells the caller neither', async () => {
    const cluster = new SimulatedCluster(1, 2, new Trace());
    try {
      await cluster.start();
      const { client } = cluster.startClient('client-1');
      cluster.network.losses = 1;
      const made: boolean[] = [];
      for (let number = 0; number < 10; number += 1) {
        const path = `/directory-${number}`;
        const making = client.makeDirectory(path);
        making.catch(() => undefined);
        await cluster.time.runUntil(() => false, 100);
        made.push(cluster.query(`SELECT 1 FROM entries WHERE name = 'directory-${number}'`).length > 0);
      }
      expect(new Set(made)).toEqual(new Set([true, false]));
      expect([...cluster.network.steps].filter(([step]) => step.endsWith('CreateDirectory ok'))).toEqual([]);
    } finally {
      cluster.dispose();
    }
  });
});
