/** How processes are made to record their CPU profiles, and how to read them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CpuProfile } from './cpu-profile.js';

/** Where a recording process writes. */
export const outputVariable = 'HOLDFAST_PROFILE_DIR';
/** V8's default. Shorter ones cost what they measure; a step of some seconds has thousands of samples. */
export const samplingIntervalMicros = 1_000;

/** The variables with which a Node process, and every one that it starts, writes its profile into `directory`. */
export function recordingEnvironment(directory: string): Readonly<Record<string, string>> {
  const load = `--import=${new URL('./record-process.js', import.meta.url).href}`;
  const others = process.env['NODE_OPTIONS'];
  return { NODE_OPTIONS: others === undefined ? load : `${others} ${load}`, [outputVariable]: directory };
}

/** A process writes it under its pid. */
export function recordingPath(directory: string, name: string | number): string {
  return join(directory, `${name}.cpuprofile`);
}

/** @throws Error ENOENT if there is none: the process was killed, or has not ended yet */
export async function readRecording(directory: string, name: string): Promise<CpuProfile> {
  return JSON.parse(await readFile(recordingPath(directory, name), 'utf8')) as CpuProfile;
}
