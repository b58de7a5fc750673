// A well-behaved client on a thread of its own, so that what the attack costs this process does not count: it asks the
// tracker and a keeper for something small again and again, and says how long each answer took.
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

const { Client, credentials } = createRequire(import.meta.url)('@grpc/grpc-js');
const plain = (bytes) => bytes;
const pauseMs = 20;

/** Asks until it is told to stop; the times in milliseconds, and what went wrong. */
async function probe({ address, path, message }, isOver) {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const times = [];
  const failures = [];
  while (!isOver()) {
    const startedMs = performance.now();
    const error = await new Promise((resolve) => {
      const deadline = Date.now() + 10_000;
      client.makeUnaryRequest(path, plain, plain, Buffer.from(message), { deadline }, resolve);
    });
    times.push(performance.now() - startedMs);
    if (error) failures.push(error.message);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  client.close();
  return { times, failures };
}

let over = false;
parentPort.once('message', () => {
  over = true;
});
parentPort.postMessage(await Promise.all(workerData.map((each) => probe(each, () => over))));
