/**
 * `npm start`: a running cluster from a fresh clone. Prepares, then becomes the local cluster in this very
 * process: a child would get every Ctrl-C twice (from the terminal and from us) and would outlive us when we
 * are killed.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare, root } from './prepare.mjs';

prepare();
const launcher = join(root, 'local-cluster', 'bin', 'local-cluster.cjs');
process.argv[1] = launcher;
await import(pathToFileURL(launcher).href);
