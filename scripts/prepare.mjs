/**
 * What stands between a fresh clone and a running program: the right Node, the dependencies, the build.
 *
 * `npm start`, `npm test` and `npm run build` all begin here, so a new user needs one command and nobody
 * ever runs yesterday's code. Each step has a stamp; when nothing changed, all of this takes some 50 ms and
 * prints nothing. Plain Node without dependencies, because it runs before there are any.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the checkout. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

// 20.19 is the first Node that can require() an ES module, which our dependencies count on.
const minimumNode = [20, 19];
const installStamp = join(root, 'node_modules', '.holdfast-stamp');
const buildStamp = join(root, '.build', 'stamp');

/** A failure with a message for people; the callers print it without a stack and exit with status 1. */
export class PrepareError extends Error {}

const say = (line) => process.stderr.write(`${line}\n`);
const readOrEmpty = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** Throws a PrepareError if this Node is older than what Holdfast needs. */
export function checkNode(version = process.versions.node) {
  const [major, minor] = version.split('.').map(Number);
  if (major > minimumNode[0] || (major === minimumNode[0] && minor >= minimumNode[1])) return;
  throw new PrepareError(
    `Holdfast needs Node ${minimumNode.join('.')} or newer, and this is Node ${version}.\n` +
      'Install a newer one from https://nodejs.org, then run the same command again.',
  );
}

/** Runs `npm ci` if the dependencies are missing, of another lock file, or of another Node. */
export function installIfNeeded() {
  const lockFile = readFileSync(join(root, 'package-lock.json'), 'utf8');
  // The ABI belongs to it: a native add-on that was compiled for one Node does not load in another.
  const abi = `${process.platform}-${process.arch}-${process.versions.modules}`;
  const wanted = `${sha256(lockFile)} ${abi}\n`;
  const present = existsSync(join(root, 'node_modules'));
  const found = readOrEmpty(installStamp);
  if (present && found === wanted) return;

  if (present && found === '' && isInstalledAsLocked(JSON.parse(lockFile))) {
    writeFileSync(installStamp, wanted); // someone ran `npm ci` by hand: nothing is left to do
    return;
  }
  let why = 'there is no node_modules yet';
  if (present && found === '') why = 'node_modules is not what package-lock.json says';
  else if (present && !found.startsWith(sha256(lockFile))) why = 'package-lock.json changed';
  else if (present) why = 'node_modules was installed for another Node';
  say(`Installing dependencies (npm ci): ${why}. This takes a minute or two.`);
  if (runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=error']) !== 0) {
    throw new PrepareError(
      'npm ci failed (its messages are above). If the network was not reachable, try again with it; ' +
        'if package.json was edited, run "npm install" first.',
    );
  }
  writeFileSync(installStamp, wanted);
}

/** Whether every package that the lock file requires is installed in its version; optional ones may lack. */
function isInstalledAsLocked(lock) {
  const hidden = readOrEmpty(join(root, 'node_modules', '.package-lock.json'));
  if (hidden === '') return false;
  const installed = JSON.parse(hidden).packages;
  return Object.entries(lock.packages).every(([path, entry]) => {
    if (!path.includes('node_modules/') || entry.link || entry.optional || entry.peer) return true;
    return installed[path]?.version === entry.version && existsSync(join(root, path, 'package.json'));
  });
}

/** npm as the one that started us, if it did; its exit status. What it prints goes to standard error. */
function runNpm(args) {
  const npm = process.env['npm_execpath'];
  const stdio = ['ignore', 2, 2];
  // npm_execpath can also name yarn or pnpm, which know nothing of `npm ci`.
  if (npm !== undefined && basename(npm).startsWith('npm')) {
    return spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio }).status;
  }
  // On Windows npm is a .cmd file, which only a shell can start. The arguments are our own constants.
  return spawnSync('npm', args, { cwd: root, stdio, shell: process.platform === 'win32' }).status;
}

/** The workspaces of package.json that have sources, in their order. */
export function workspacesWithSources() {
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return workspaces.filter((name) => existsSync(join(root, name, 'src')));
}

/** Brings generated types and every workspace's dist/ up to date if a source changed since the last build. */
export function buildIfNeeded() {
  const workspaces = workspacesWithSources();
  // Taken before the build: an edit during the build is then seen by the next one.
  const wanted = fingerprintOfSources(workspaces);
  const missing = workspaces.find((name) => !existsSync(join(root, name, 'dist', '.tsbuildinfo')));
  const found = readOrEmpty(buildStamp);
  if (missing === undefined && found === wanted) return;

  const why = missing === undefined ? 'sources changed' : `${missing}/dist is missing`;
  say(`Building: ${found === '' ? 'there is no build yet' : why}.`);
  generateContractTypes();
  // The programs only. Test projects are type-checked by `npm run check`: nobody waits for them to start.
  runBuildStep('the sources', ['node_modules/typescript/bin/tsc', '-b', ...workspaces]);
  mkdirSync(dirname(buildStamp), { recursive: true });
  writeFileSync(buildStamp, wanted);
}

/** The types of the .proto files; does nothing when they are there. */
function generateContractTypes() {
  runBuildStep('the types of the contract', ['proto/generate.mjs']);
}

function runBuildStep(what, args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new PrepareError(`Building ${what} failed; its messages are above.`);
}

/** A hash over path, size and modification time of everything that a build reads. */
function fingerprintOfSources(workspaces) {
  const files = ['package-lock.json', 'tsconfig.base.json', 'proto/generate.mjs'];
  for (const name of workspaces) {
    files.push(`${name}/package.json`, `${name}/tsconfig.json`, ...filesBelow(`${name}/src`));
  }
  for (const folder of ['holdfast', 'google', 'grpc']) files.push(...filesBelow(`proto/${folder}`));
  const lines = files.sort().map((file) => {
    const { size, mtimeMs } = statSync(join(root, file));
    return `${file} ${size} ${mtimeMs}`;
  });
  return `${sha256(lines.join('\n'))}\n`;
}

/** Every file below a folder of the checkout, except generated ones. */
export function filesBelow(folder) {
  if (!existsSync(join(root, folder)) || folder === 'proto/src/gen') return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

/**
 * All of it: the Node, the dependencies, the build. Ends the process with status 1 and a reason if one fails.
 *
 * @param options.build false for whoever compiles the sources itself, and wants to report what it finds
 */
export function prepare({ build = true } = {}) {
  try {
    checkNode();
    installIfNeeded();
    if (build) buildIfNeeded();
    else generateContractTypes();
  } catch (error) {
    if (!(error instanceof PrepareError)) throw error;
    say(error.message);
    process.exit(1);
  }
}
