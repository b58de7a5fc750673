/**
 * One test file, run by Jest in a copy of the checkout, and what became of it. Tells a test that failed from a file that
 * could not run at all and from one that had to be stopped: only the first says anything of what was tested.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Of what Jest prints, the end is what says why it could not run. */
const keptOutputChars = 4_000;

/**
 * @param work a directory of the copy's own: `tree` is the copy, the rest is Jest's and the tests'
 * @param test.file the test file, from the top of the checkout
 * @param test.names parts of the names of the tests to run, taken literally; all if there are none
 * @param limits.testMs after this a test fails that still waits, as any other that fails
 * @param limits.runMs after this the run is stopped
 * @param children is told of the process while it runs
 * @returns `outcome` ('passed', 'failed', 'could not run', 'took too long'), the tests that ran, with `passed`,
 *   `tookMs` and `why` not; `why`
 *   for the last two; `seconds`
 */
export async function runTest(work, { file, names }, limits, children) {
  const started = performance.now();
  const results = join(work, 'results.json');
  const temporary = join(work, 'tmp');
  rmSync(results, { force: true });
  mkdirSync(temporary, { recursive: true });
  const args = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  args.push(
    'node_modules/jest/bin/jest.js',
    '--runTestsByPath',
    file,
    '--runInBand',
    '--forceExit',
    '--silent',
  );
  args.push(
    '--watchman=false',
    '--json',
    `--outputFile=${results}`,
    `--cacheDirectory=${join(work, 'cache')}`,
  );
  args.push(`--testTimeout=${limits.testMs}`);
  if (names.length > 0) args.push(`--testNamePattern=${names.map(literally).join('|')}`);
  const child = spawn(process.execPath, args, {
    cwd: join(work, 'tree'),
    // The same seed each time: what was caught once is caught again.
    env: { HOLDFAST_SEED: '1', ...process.env, TMPDIR: temporary, HOLDFAST_TEST_DIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, which is stopped with whatever the test has started.
    detached: true,
  });
  children.add(child);
  let output = '';
  const keep = (data) => (output = (output + data).slice(-keptOutputChars));
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let tookTooLong = false;
  const timer = setTimeout(() => {
    tookTooLong = true;
    stop(child);
  }, limits.runMs);
  await new Promise((resolve) => child.on('exit', resolve));
  clearTimeout(timer);
  // What the test has started and not ended.
  stop(child);
  children.delete(child);
  rmSync(temporary, { recursive: true, force: true, maxRetries: 3 });
  const seconds = (performance.now() - started) / 1000;
  if (tookTooLong)
    return { outcome: 'took too long', tests: [], why: `over ${limits.runMs / 1000} s`, seconds };
  return { ...read(results, output), seconds };
}

/** Ends a run with all that it has started. */
export function stop(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** A part of a test's name as a pattern. */
function literally(name) {
  return name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

function read(results, output) {
  let run;
  try {
    run = JSON.parse(readFileSync(results, 'utf8'));
  } catch {
    return { outcome: 'could not run', tests: [], why: output };
  }
  const tests = run.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'passed' || status === 'failed')
    .map(({ fullName, status, duration, failureMessages }) => ({
      name: fullName,
      passed: status === 'passed',
      tookMs: duration ?? 0,
      why: failureMessages[0],
    }));
  if (run.numRuntimeErrorTestSuites > 0 || tests.length === 0) {
    const why = run.testResults.map(({ message }) => message).join('\n') || 'no test has such a name';
    return { outcome: 'could not run', tests, why };
  }
  return { outcome: tests.every(({ passed }) => passed) ? 'passed' : 'failed', tests };
}
