/** `npm run simulate [-- options]`: prepares, then becomes the simulation in this very process. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare, root } from './prepare.mjs';

prepare();
const program = join(root, 'simulation', 'dist', 'main.js');
process.argv[1] = program;
await import(pathToFileURL(program).href);
