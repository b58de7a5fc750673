// A well-behaved client on a thread of its own, so that what the attack costs this process does not count: it asks the
// tracker and a keeper for something small again and again, and says how long each answer took.
import { EventEmitter, once } from 'node:events';
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

const { Client, credentials } = createRequire(import.meta.url)('@grpc/grpc-js');
const plain = (bytes) => bytes;
const pauseMs = 20;

class Probe extends EventEmitter {
  #times = [];
  #failures = [];

  /** Asks until the thread ends. */
  async run({ address, path, message }) {
    const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    for (;;) {
      const startedMs = performance.now();
      const error = await new Promise((resolve) => {
        const deadline = Date.now() + 60_000;
        client.makeUnaryRequest(path, plain, plain, Buffer.from(message), { deadline }, resolve);
      });
      this.#times.push(performance.now() - startedMs);
      if (error) this.#failures.push(error.message);
      this.emit('answer');
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  /** The times in milliseconds, and what went wrong, since the last report; what is on its way or next counts, too. */
  async report() {
    await once(this, 'answer');
    const found = { times: this.#times, failures: this.#failures };
    this.#times = [];
    this.#failures = [];
    return found;
  }
}

const probes = workerData.map((each) => {
  const probe = new Probe();
  void probe.run(each);
  return probe;
});
parentPort.on('message', async () => {
  parentPort.postMessage(await Promise.all(probes.map((probe) => probe.report())));
});
