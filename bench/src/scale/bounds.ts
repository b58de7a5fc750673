/** What the tracker's big jobs may cost, and which of the figures are beyond that. */
import { figure, megabytes } from '../report/words.js';
import type { Figures } from './tracker-process.js';

export interface StepBounds {
  /** On a CPU of about 2020; twice what one takes. */
  readonly cpuSeconds: number;
  /** How many times the CPU time four times as much may cost; undefined for what should not depend on how much there is. */
  readonly growth?: number;
}

/** A little more than four, for trees that are a level deeper. */
export const allowedGrowth = 4.4;
/** On a CPU, between two turns of the event loop: a tenth of the time after which a client takes a server for slow. */
const allowedHoldMs = 100;
/** At any size. */
const allowedResidentBytes = 512 * 1024 ** 2;
/** What takes less says nothing of growth: starting to run takes as long. */
const leastCpuSeconds = 0.1;

/** Each bound that a step misses, in words. */
export function missedBounds(step: string, bounds: StepBounds, small: Figures, big: Figures): string[] {
  const missed: string[] = [];
  if (big.cpuSeconds > bounds.cpuSeconds) {
    missed.push(`${step}: ${figure(big.cpuSeconds)} s of CPU time, at most ${figure(bounds.cpuSeconds)} s`);
  }
  const growth = big.cpuSeconds / small.cpuSeconds;
  if (bounds.growth !== undefined && big.cpuSeconds >= leastCpuSeconds && growth > bounds.growth) {
    missed.push(
      `${step}: ${figure(growth)} times the CPU time for four times as much, at most ${bounds.growth}`,
    );
  }
  const holdMs = Math.max(small.longestHoldCpuMs, big.longestHoldCpuMs);
  if (holdMs > allowedHoldMs) {
    missed.push(`${step}: held others up for ${figure(holdMs)} ms of CPU time, at most ${allowedHoldMs} ms`);
  }
  const residentBytes = Math.max(small.peakResidentBytes, big.peakResidentBytes);
  if (residentBytes > allowedResidentBytes) {
    missed.push(
      `${step}: ${megabytes(residentBytes)} MB of memory, at most ${megabytes(allowedResidentBytes)} MB`,
    );
  }
  return missed;
}
