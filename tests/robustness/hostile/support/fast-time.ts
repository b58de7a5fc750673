/** A client whose minutes are seconds: what it waits for, and how long it goes on asking, is over so much sooner. */
import { type HoldfastClient } from '@holdfast/client';
import { composeClient } from '@holdfast/client/insides';
import type { Clock } from '@holdfast/shared';
import { grpcTransport } from '@holdfast/shared/grpc';
import { systemClock, systemRandom } from '@holdfast/shared/node';

/** A minute of asking again takes 3 s; what is silent for 2.5 s is given up after 125 ms. */
const timesFaster = 20;

const clock: Clock = {
  monotonicMs: () => systemClock.monotonicMs() * timesFaster,
  wallMs: () => systemClock.wallMs(),
  sleep: (durationMs, options) => systemClock.sleep(durationMs / timesFaster, options),
  schedule: (durationMs, callback) => systemClock.schedule(durationMs / timesFaster, callback),
};

const transport = {
  ...grpcTransport,
  deadlineIn: (durationMs: number) => grpcTransport.deadlineIn(durationMs / timesFaster),
};

/** A client that has not called anybody yet. */
export function fastClient(tracker: string): HoldfastClient {
  const memoryBytes = 64 * 1024 * 1024;
  return composeClient({ ...{ addresses: [tracker], memoryBytes, clock, random: systemRandom }, transport })
    .client;
}
