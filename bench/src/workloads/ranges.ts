/** Small reads at random places of a big file: what a database or a player does. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Contender, Range } from '../contender.js';
import type { SourceFile } from '../machine/files.js';
import { seededRandom } from '../run/order.js';
import type { Stage, Trial } from '../run/stage.js';
import { percentile } from '../stats.js';
import { can, needed } from './abilities.js';
import { standardReplicas } from './small.js';

const lengthBytes = 64 * 1024;
const inFlights = [1, 16];
/** Enough of them that a wrong offset would show. */
const verifiedRanges = 20;

export function rangeTrials(contenders: readonly Contender[]): Trial[] {
  return contenders.filter(can('ranges')).map((contender) => ({
    workload: 'ranges' as const,
    subject: contender.name,
    label: contender.name,
    async run(stage) {
      const source = await stage.source(stage.sizes.bigBytes);
      const running = await stage.start(contender, { replicas: standardReplicas, sync: true });
      await running.upload(source.path, 'ranges');
      const count = stage.sizes.rangedReads;
      const ranges = randomRanges(stage, source, count);
      const read = needed(running, 'readRanges');
      await read('ranges', ranges.slice(0, Math.ceil(count / 4)), 4); // warm
      for (const inFlight of inFlights) {
        const step = {
          case: { action: 'read', sizeBytes: lengthBytes, inFlight },
          ...{ unit: 'reads/s' as const, count, bytes: count * lengthBytes, processes: running.processes() },
        };
        await stage.measure(step, async () => {
          const { firstByteMs, lastByteMs } = await read('ranges', ranges, inFlight);
          return {
            firstByteP50Ms: percentile(firstByteMs, 0.5),
            firstByteP99Ms: percentile(firstByteMs, 0.99),
            p50Ms: percentile(lastByteMs, 0.5),
            p99Ms: percentile(lastByteMs, 0.99),
          };
        });
      }
      if (!stage.verifies) return;
      const some = ranges.slice(0, verifiedRanges);
      stage.checkSame(
        'SHA-256',
        await needed(running, 'digestRanges')('ranges', some),
        await localDigest(source, some),
      );
    },
  }));
}

/** At any byte, as long as they end within the file; others in each round. */
function randomRanges(stage: Stage, { sizeBytes }: SourceFile, count: number): Range[] {
  const random = seededRandom(stage.round);
  return Array.from({ length: count }, () => ({
    start: Math.floor(random() * (sizeBytes - lengthBytes + 1)),
    lengthBytes,
  }));
}

async function localDigest({ path }: SourceFile, ranges: readonly Range[]): Promise<string> {
  const hash = createHash('sha256');
  const file = await open(path);
  try {
    for (const range of ranges) {
      const { buffer } = await file.read(Buffer.alloc(range.lengthBytes), 0, range.lengthBytes, range.start);
      hash.update(buffer);
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
