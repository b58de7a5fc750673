/** 39 intervals of a keeper's real profile during an upload, with the frames that they need. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CpuProfile } from '../../src/profile/cpu-profile.js';

const path = fileURLToPath(new URL('keeper.cpuprofile.json', import.meta.url));

export const recorded = JSON.parse(readFileSync(path, 'utf8')) as CpuProfile;

/** From before the first sample to after the last. */
export const always = { fromMicros: 0, toMicros: Number.MAX_SAFE_INTEGER };

/** What the intervals add up to, counted by hand from the list of samples, in microseconds. */
export const countedByHand = {
  checksums: 6_831,
  files: 3_251,
  'garbage collection': 4_099,
  'our own code': 15_783,
  protobuf: 3_702,
  idle: 18_882,
  'streams, events, queues': 8_632,
  'copying buffers': 2_671,
  'other JavaScript': 1_130,
  'native, outside JavaScript': 6_182,
  'grpc-js': 313,
};
