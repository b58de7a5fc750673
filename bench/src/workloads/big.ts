/**
 * One big file: up, down to memory, and down to a file, at each number of copies. Reads come from page caches,
 * for all contenders alike: what is compared is the way of the bytes, not the disk's read rate.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contender, RunningContender } from '../contender.js';
import { sha256OfFile, type SourceFile } from '../machine/files.js';
import type { Stage, Trial } from '../run/stage.js';
import type { Sizes } from '../run/sizes.js';

export function bigTrials(contenders: readonly Contender[], { replicas }: Sizes): Trial[] {
  return contenders.flatMap((contender) =>
    (contender.alwaysSyncs === true ? [true] : [true, false]).flatMap((sync) =>
      replicas
        .filter((copies) => contender.copies?.includes(copies) ?? true)
        .map((copies) => bigTrial(contender, copies, sync)),
    ),
  );
}

function bigTrial(contender: Contender, replicas: number, sync: boolean): Trial {
  const subject = sync ? contender.name : `${contender.name}, no sync`;
  return {
    workload: 'big',
    subject,
    label: `${subject}, ${replicas} ${replicas === 1 ? 'copy' : 'copies'}`,
    async run(stage) {
      const source = await stage.source(stage.sizes.bigBytes);
      const running = await stage.start(contender, { replicas, sync });
      await warmUp(stage, running);
      await measureBig(stage, running, source, { replicas }, sync);
    },
  };
}

/** Moves the big file in every way that is going to be timed. */
export async function warmUp(stage: Stage, running: RunningContender): Promise<void> {
  const source = await stage.source(stage.sizes.bigBytes);
  for (let round = 0; round < stage.sizes.warmUpRounds; round += 1) {
    await running.upload(source.path, 'warm-up');
    await running.download('warm-up');
    await running.downloadToFile('warm-up', join(stage.dataDir, 'warm-up.out'));
    await running.remove('warm-up');
  }
}

/**
 * Up, and where it `alsoReads` (which not syncing changes nothing about) down and down to a file. With `inFlight`,
 * the read into memory is left out: how far a stream reads ahead is nobody's option.
 */
export async function measureBig(
  stage: Stage,
  running: RunningContender,
  source: SourceFile,
  setting: { readonly replicas: number; readonly roundTripMs?: number; readonly inFlight?: number },
  alsoReads: boolean,
): Promise<void> {
  const step = (action: string) => ({
    case: { action, ...setting },
    unit: 'MB/s' as const,
    bytes: source.sizeBytes,
    processes: running.processes(),
  });
  const { inFlight } = setting;
  const how = inFlight === undefined ? {} : { inFlight };
  const localPath = join(stage.dataDir, 'big.out');
  await stage.measure(step('up'), () => running.upload(source.path, 'big', how));
  if (!alsoReads) return;
  if (inFlight === undefined) {
    let readBytes = 0;
    await stage.measure(step('down'), async () => {
      readBytes = await running.download('big');
    });
    stage.checkSame('length', readBytes, source.sizeBytes);
  }
  await stage.measure(step('down to file'), () => running.downloadToFile('big', localPath, how));
  stage.checkSame('length', (await stat(localPath)).size, source.sizeBytes);
  if (!stage.verifies) return;
  stage.checkSame('SHA-256', await sha256OfFile(localPath), source.sha256);
  if (running.digest) stage.checkSame('SHA-256', await running.digest('big'), source.sha256);
}
