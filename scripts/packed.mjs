/**
 * Whether what would be published works: packs the workspaces as npm does, unpacks them into a folder of their own, and
 * there imports them, requires them, and has TypeScript resolve their types, as programs of others do.
 *
 * `node scripts/packed.mjs [NODE…]`: clients with this Node, or with each of the given ones (paths of `node` programs).
 * Other packages are taken from this checkout's node_modules, so no network is needed. It packs what was built.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './prepare.mjs';

const workspaces = ['proto', 'shared', 'master-tracker', 'data-keeper', 'client', 'local-cluster'];

/** What somebody does who stores a file and reads it back. */
const body = `
async function main(tracker) {
  const client = await connect({ tracker });
  await client.writeFile('/hello.txt', 'hello');
  const text = await client.readFile('/hello.txt', 'utf8');
  const error = await client.stat('/nothing').catch((thrown) => thrown);
  client.close();
  if (text !== 'hello') throw new Error('read back: ' + text);
  if (!(error instanceof HoldfastError) || error.code !== 'NOT_FOUND') throw error;
}
main(process.argv[2]).catch((error) => { console.error(error); process.exitCode = 1; });
`;
const programs = {
  'import.mjs': `import { connect, HoldfastError } from '@holdfast/client';${body}`,
  'require.cjs': `const { connect, HoldfastError } = require('@holdfast/client');${body}`,
  // One package, however it is loaded: an error that one part of a program throws is known to the other.
  'both.cjs': `const required = require('@holdfast/client');
  import('@holdfast/client').then((imported) => {
    if (imported.connect !== required.connect || imported.HoldfastError !== required.HoldfastError) process.exitCode = 1;
  });`,
};
/** A cluster for these programs, until its standard input ends. */
const clusterProgram = `
const { startCluster } = require('@holdfast/local-cluster');
import('@holdfast/local-cluster').then(async (imported) => {
  if (imported.startCluster !== startCluster) throw new Error('two packages');
  const cluster = await startCluster({ keepers: 3 });
  console.log(cluster.trackerAddress);
  process.stdin.on('end', () => cluster.stop()).resume();
});
`;

const typed = `
import { type Entry, type HoldfastClient, connect, hasCode } from '@holdfast/client';
import { startCluster } from '@holdfast/local-cluster';

export async function example(): Promise<string> {
  await using client: HoldfastClient = await connect({ tracker: '127.0.0.1:7400' });
  const entry: Entry = await client.stat('/hello.txt');
  const bytes: Uint8Array = await client.readFile(entry);
  const body: ReadableStream<Uint8Array> = client.createReadableStream(entry);
  await client.upload(body, '/copy', { expectedVersion: entry.version }).catch((error: unknown) => {
    if (!hasCode(error, 'VERSION_CONFLICT')) throw error;
  });
  const cluster = await startCluster({ keepers: 3 });
  await cluster.stop();
  // @ts-expect-error a number is no path
  await client.readFile(bytes.length);
  return client.readFile('/hello.txt', 'utf8');
}
`;
/** As programs of others are set up. CommonJS may require a module of ES since TypeScript 5.8's node20. */
const typeSettings = [
  { module: 'node16', moduleResolution: 'node16', file: 'typed.mts' },
  { module: 'nodenext', moduleResolution: 'nodenext', file: 'typed.mts' },
  { module: 'nodenext', moduleResolution: 'nodenext', file: 'typed.cts' },
  { module: 'esnext', moduleResolution: 'bundler', file: 'typed.mts' },
];

const run = (program, args, cwd) =>
  execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

function step(name, work) {
  const start = performance.now();
  try {
    work();
    console.log(`ok      ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  } catch (error) {
    process.exitCode = 1;
    console.log(
      `FAILED  ${name}\n${error.stdout ?? ''}${error.stderr ?? ''}${error.stdout === undefined ? error.stack : ''}`,
    );
  }
}

/** Packs all workspaces and unpacks them into `folder`/node_modules, beside links to what they depend on. */
function unpackInto(folder) {
  const packed = run(
    'npm',
    ['pack', '--silent', `--pack-destination=${folder}`, ...workspaces.map((w) => `--workspace=${w}`)],
    root,
  );
  const modules = join(folder, 'node_modules');
  for (const archive of packed.trim().split('\n')) {
    const name = archive.replace(/^holdfast-|-\d+\.\d+\.\d+.*$/g, '');
    mkdirSync(join(modules, '@holdfast', name), { recursive: true });
    run('tar', [
      'xzf',
      join(folder, archive),
      '--strip-components=1',
      '-C',
      join(modules, '@holdfast', name),
    ]);
  }
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name === '@holdfast' || name.startsWith('.')) continue;
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
}

const nodes = process.argv.length > 2 ? process.argv.slice(2) : [process.execPath];
if (!existsSync(join(root, 'client', 'dist', 'index.js'))) {
  console.error('There is nothing to pack yet: npm run build');
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), 'holdfast-packed-'));
try {
  step('npm pack', () => unpackInto(folder));
  for (const [name, text] of Object.entries(programs)) writeFileSync(join(folder, name), text);
  for (const name of ['typed.mts', 'typed.cts']) writeFileSync(join(folder, name), typed);
  writeFileSync(join(folder, 'cluster.cjs'), clusterProgram);
  // With this Node, for which the database's add-on was installed; clients need none.
  const cluster = spawn(process.execPath, ['cluster.cjs'], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(cluster, 'close');
  const [line] = await Promise.race([once(cluster.stdout, 'data'), ended]);
  const tracker = String(line).trim();
  for (const node of nodes) {
    const version = run(node, ['--version']).trim();
    for (const name of Object.keys(programs)) {
      step(`${name} on Node ${version}`, () => run(node, [name, tracker], folder));
    }
  }
  cluster.stdin.end();
  const [status] = await ended;
  if (status !== 0) process.exitCode = 1;
  for (const { module, moduleResolution, file } of typeSettings) {
    step(`the types of ${file} with module ${module}, moduleResolution ${moduleResolution}`, () => {
      const settings = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,esnext.disposable'];
      const modules = ['--types', 'node', '--module', module, '--moduleResolution', moduleResolution];
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
      run(process.execPath, [tsc, ...settings, ...modules, file], folder);
    });
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
