/**
 * `npm test [-- jest's arguments]`: the whole suite, or the part that the arguments choose. Prepares first,
 * because some tests start the built programs.
 */
import { spawn } from 'node:child_process';
import { prepare, root } from './prepare.mjs';

prepare();
const jest = spawn(
  process.execPath,
  // Jest loads ES modules through node:vm, which Node still keeps behind this flag and warns about.
  [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => jest.kill(signal));
jest.on('exit', (status, signal) => {
  if (signal !== null) console.error(`The test run was ended by ${signal}.`);
  process.exitCode = status ?? 1;
});
