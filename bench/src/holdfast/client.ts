/** The client process, from its parent's side. */
import { Child } from '../children/child.js';
import { nodeSettings } from '../node-settings.js';
import type { ClientMethods } from './client-process.js';
import type { BenchCluster } from './cluster.js';

const clientModule = new URL('./client-process.js', import.meta.url);

/** A process in which `count` clients are connected. */
export async function startClient(
  { trackerAddress }: BenchCluster,
  replicas: number,
  count = 1,
): Promise<Child<ClientMethods>> {
  const client = await Child.start<ClientMethods>(clientModule, nodeSettings);
  try {
    await client.call('connect', trackerAddress, replicas, count);
    return client;
  } catch (error) {
    await client.stop();
    throw error;
  }
}
