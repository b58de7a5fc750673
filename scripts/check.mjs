/**
 * `npm run check [-- step…]`: everything that can be found wrong without running the programs. Every step
 * runs even if an earlier one failed, so that one run shows all there is to mend. Status 1 if any failed.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { filesBelow, prepare, root } from './prepare.mjs';

const bin = (path) => join('node_modules', path);

/** What is checked, and what to do when it fails (where the tool itself does not say). */
const steps = [
  { name: 'types', args: () => [bin('typescript/bin/tsc'), '-b', ...projects()] },
  { name: 'lint', args: () => [bin('eslint/bin/eslint.js'), '.', '--max-warnings=0'] },
  {
    name: 'format',
    args: () => [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.'],
    remedy: 'npm run format',
  },
  {
    name: 'layers',
    args: () => [
      bin('dependency-cruiser/bin/dependency-cruise.mjs'),
      '--config=.dependency-cruiser.cjs',
      '--output-type=err-long',
      ...['proto', 'shared', 'master-tracker', 'data-keeper', 'client', 'local-cluster', 'tests']
        .concat(['bench', 'simulation', 'examples'])
        .filter((folder) => filesBelow(folder).length > 0),
    ],
    remedy: '.dependency-cruiser.cjs says beside each rule why it is there',
  },
  {
    name: 'api-page',
    args: () => ['scripts/api-page.mjs', '--check'],
    remedy: '"node scripts/api-page.mjs" writes docs/client-api.md from the docstrings',
  },
  { name: 'packed', args: () => ['scripts/packed.mjs'] },
  { name: 'unused', args: () => [bin('knip/bin/knip.js'), '--no-progress', '--no-config-hints'] },
  { name: 'contract', args: () => [bin('@bufbuild/buf/bin/buf'), 'lint', 'proto'] },
  {
    name: 'contract-compatible',
    args: () => [bin('@bufbuild/buf/bin/buf'), 'breaking', 'proto', '--against', 'proto/contract.binpb'],
    remedy: 'a peer of the released contract would break; if that is meant, "npm run contract:renew"',
  },
];

/** The TypeScript projects of tsconfig.json that have a file to check: tsc refuses an empty one. */
function projects() {
  const { references } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
  return references
    .map((reference) => reference.path)
    .filter((path) => {
      const file = path.endsWith('.json') ? path : `${path}/tsconfig.json`;
      if (!existsSync(join(root, file))) return true; // tsc will say so
      const { include } = JSON.parse(readFileSync(join(root, file), 'utf8'));
      const folders = include.map((folder) =>
        folder === '.' ? dirname(file) : `${dirname(file)}/${folder}`,
      );
      return folders.some((folder) => filesBelow(folder).some((name) => name.endsWith('.ts')));
    });
}

/** Runs one step; prints its line, and its output if it failed. True if it passed. */
async function run({ name, args, remedy }) {
  const start = performance.now();
  const output = [];
  const child = spawn(process.execPath, args(), { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (data) => output.push(data));
  child.stderr.on('data', (data) => output.push(data));
  const status = await new Promise((resolve) => child.on('close', resolve));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'}  ${name.padEnd(20)} ${seconds.padStart(6)} s`);
  if (status === 0) return true;
  console.log(Buffer.concat(output).toString().trimEnd().replace(/^/gm, '    '));
  if (remedy !== undefined) console.log(`    What to do: ${remedy}.`);
  return false;
}

// Without the build: what does not compile is the first step's to report, and must not keep the others back.
prepare({ build: false });
const named = process.argv.slice(2);
const unknown = named.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  console.error(
    `No such step: ${unknown.join(', ')}. There are: ${steps.map((step) => step.name).join(', ')}.`,
  );
  process.exit(2);
}
const chosen = named.length === 0 ? steps : steps.filter((step) => named.includes(step.name));
const results = [];
// ESLint and the layers read what tsc wrote, so the types come first and alone.
if (chosen[0].name === 'types') results.push(await run(chosen.shift()));
// A step takes about one core and, for ESLint, up to a gigabyte: more than four at once helps nobody.
await Promise.all(
  Array.from({ length: Math.min(4, availableParallelism()) }, async () => {
    for (let step = chosen.shift(); step !== undefined; step = chosen.shift()) results.push(await run(step));
  }),
);
const failed = results.filter((passed) => !passed).length;
console.log(`check: ${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
