/** Many small files, each an upload of its own that is durable when it returns: a system's cost per file. */
import type { Contender, RunningContender } from '../contender.js';
import type { Sizes } from '../run/sizes.js';
import type { Stage, Trial } from '../run/stage.js';
import { can, needed } from './abilities.js';
import { latencies } from './machine.js';

/** Standard for everything but the big file. */
export const standardReplicas = 2;
/** One for the latency, then what a busy program and a very busy one have under way. */
const inFlights = [1, 16, 64];
/** Few at a time take long, and fewer files give a steady figure; all of them go up with the most in flight. */
const fractions: Readonly<Record<number, number>> = { 1: 1 / 10, 16: 1 / 4 };
/** For code that is cold and directories that are new. */
const warmUpFraction = 1 / 10;

export function smallTrials(contenders: readonly Contender[], { smallFiles }: Sizes): Trial[] {
  return contenders.filter(can('many files')).flatMap((contender) =>
    smallFiles.map(({ sizeBytes, count }) => ({
      workload: 'small' as const,
      subject: contender.name,
      label: `${contender.name}, ${sizeBytes} bytes each`,
      async run(stage) {
        const running = await stage.start(contender, { replicas: standardReplicas, sync: true });
        const warmUp = {
          name: 'warm-up',
          count: Math.ceil(count * warmUpFraction),
          sizeBytes,
          inFlight: 16,
          seed: 1,
        };
        await needed(running, 'uploadMany')(warmUp);
        await needed(running, 'downloadMany')(warmUp);
        for (const inFlight of inFlights) {
          await measureSmall(stage, running, {
            sizeBytes,
            inFlight,
            count: Math.ceil(count * (fractions[inFlight] ?? 1)),
          });
        }
      },
    })),
  );
}

async function measureSmall(
  stage: Stage,
  running: RunningContender,
  {
    sizeBytes,
    inFlight,
    count,
  }: { readonly sizeBytes: number; readonly inFlight: number; readonly count: number },
): Promise<void> {
  const batch = { name: `small-${inFlight}`, count, sizeBytes, inFlight, seed: inFlight };
  const step = (action: string) => ({
    case: { action, sizeBytes, inFlight },
    ...{ unit: 'files/s' as const, count, bytes: count * sizeBytes, processes: running.processes() },
  });
  await stage.measure(step('up'), async () => latencies(await needed(running, 'uploadMany')(batch)));
  await stage.measure(step('down'), async () => latencies(await needed(running, 'downloadMany')(batch)));
  if (!stage.verifies) return;
  await needed(running, 'verifyMany')(batch);
  stage.checked('contents');
}
