/**
 * `npm run fire [-- options]`: prepares, compiles the tests' sources, of which it is a part, then becomes the fire in this
 * very process.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare, root } from './prepare.mjs';

prepare();
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [compiler, '-b', 'tests'], {
  cwd: root,
  stdio: ['ignore', 2, 2],
});
if (status !== 0) process.exit(1);
const program = join(root, '.build', 'tests', 'robustness', 'fire', 'main.js');
process.argv[1] = program;
await import(pathToFileURL(program).href);
