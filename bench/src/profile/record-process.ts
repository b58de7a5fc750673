/**
 * Loaded by `--import` into each process that is profiled, before its own code: records a V8 CPU profile from here
 * to the process's end, and writes it as `PID.cpuprofile` into the directory that the variable below names.
 *
 * Node's own `--cpu-prof` does the same, but Node 20 does not take it from NODE_OPTIONS, which is the only way to
 * a process that another one starts.
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { outputVariable, recordingPath, samplingIntervalMicros } from './recording.js';

const directory = process.env[outputVariable];
if (directory !== undefined) {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.setSamplingInterval', { interval: samplingIntervalMicros });
  session.post('Profiler.start');
  process.once('exit', () => {
    let recorded: unknown;
    // In the same process the answer comes before `post` returns. What its callback throws would be lost.
    session.post('Profiler.stop', (_error, result) => (recorded = result.profile));
    writeFileSync(recordingPath(directory, process.pid), JSON.stringify(recorded));
  });
}
