/**
 * Many clients at once: each a client of its own in the library, with its own connections and memory, in a few
 * processes. One process would measure its one event loop; one for each would measure 64 copies of Node.
 */
import type { Child } from '../children/child.js';
import type { ManyClients, Transfer } from '../contender.js';
import type { ClientMethods } from './client-process.js';
import type { BenchCluster } from './cluster.js';
import { startClient } from './client.js';

const clientsInOneProcess = 16;

export async function connectMany(
  cluster: BenchCluster,
  replicas: number,
  count: number,
): Promise<ManyClients> {
  const groups: { readonly child: Child<ClientMethods>; readonly firstNumber: number }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(groups.map(({ child }) => child.stop()));
  };
  try {
    for (let firstNumber = 0; firstNumber < count; firstNumber += clientsInOneProcess) {
      const own = Math.min(clientsInOneProcess, count - firstNumber);
      groups.push({ child: await startClient(cluster, replicas, own), firstNumber });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const all = async (work: (group: (typeof groups)[number]) => Promise<Transfer[]>): Promise<Transfer[]> =>
    (await Promise.all(groups.map(work))).flat();
  return {
    upload: (localPath, name) =>
      all(({ child, firstNumber }) => child.call('uploadEach', localPath, `/${name}`, firstNumber)),
    download: (name) => all(({ child, firstNumber }) => child.call('downloadEach', `/${name}`, firstNumber)),
    processes: () => [
      ...groups.map(({ child }) => ({ role: 'client' as const, pid: child.pid })),
      ...cluster.processes(),
    ],
    stop,
  };
}
