/**
 * `npm run bench [-- options]`: prepares, then becomes the bench in this very process, so that Ctrl-C reaches it
 * once. `node scripts/bench.mjs profile` (or commands, healing, resume, scale) runs the program of that folder of the bench instead.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare, root } from './prepare.mjs';

prepare();
const folder = ['commands', 'profile', 'healing', 'resume', 'scale'].includes(process.argv[2])
  ? process.argv.splice(2, 1)
  : [];
const program = join(root, 'bench', 'dist', ...folder, 'main.js');
process.argv[1] = program;
await import(pathToFileURL(program).href);
