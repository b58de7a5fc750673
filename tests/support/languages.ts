/**
 * The clients of examples/ in other languages, made ready to run: with what they install in a folder of their own, so
 * that a checkout stays as it is. What a machine does not have is a reason to skip, and what does not compile is not.
 */
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repository } from './command.js';

/** A client that can be run, or why it cannot. */
export type Prepared =
  { readonly command: readonly string[]; readonly missing?: undefined } | { readonly missing: string };

/** CI runs the suite on two Nodes, and these do not depend on it. */
const cache = process.env['HOLDFAST_LANGUAGES'] ?? join(repository, 'node_modules/.cache/holdfast-languages');
/** From nothing on two busy cores each takes half a minute. */
const stepLimitMs = 480_000;

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, whatever that is. */
export function outcomeOf(
  [program = '', ...args]: readonly string[],
  options: { readonly cwd?: string; readonly limitMs?: number } = {},
): Promise<Outcome> {
  const { cwd = repository, limitMs = 240_000 } = options;
  return new Promise((resolve) => {
    execFile(program, args, { cwd, timeout: limitMs, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ status, stdout, stderr: stderr || (error?.message ?? '') });
    });
  });
}

async function mustRun(command: readonly string[], cwd: string): Promise<void> {
  const { status, stderr } = await outcomeOf(command, { cwd, limitMs: stepLimitMs });
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${stderr}`);
}

/** Whether the registry could be reached; else the last line of what the installer said. */
async function installed(command: readonly string[], cwd: string): Promise<string | undefined> {
  const { status, stderr } = await outcomeOf(command, { cwd, limitMs: stepLimitMs });
  return status === 0 ? undefined : `cannot install: ${stderr.trim().split('\n').at(-1)}`;
}

/** client.py and reflect.py, each with the arguments before it that run it. */
export async function preparePython(script: 'client.py' | 'reflect.py'): Promise<Prepared> {
  if (
    spawnSync('python3', ['-c', 'import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 10))'])
      .status !== 0
  ) {
    return { missing: 'there is no python3 (3.10 or newer) with venv' };
  }
  const source = join(repository, 'examples/python');
  const requirements = join(source, 'requirements.txt');
  const wanted = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 16);
  const environment = join(cache, `python-${wanted}`);
  const python = join(environment, 'bin/python');
  const stamp = join(environment, 'installed');
  if (!existsSync(stamp)) {
    await mkdir(cache, { recursive: true });
    await mustRun(['python3', '-m', 'venv', '--clear', environment], cache);
    const pip = [python, '-m', 'pip', '--disable-pip-version-check', 'install', '--quiet'];
    const missing = await installed([...pip, '--requirement', requirements], cache);
    if (missing !== undefined) return { missing };
    await writeFile(stamp, '');
  }
  const folder = join(cache, 'examples/python');
  await cp(source, folder, { recursive: true });
  await mustRun([python, join(source, 'generate.py'), folder], folder);
  return { command: [python, join(folder, script)] };
}

/** The Go client, compiled. */
export async function prepareGo(): Promise<Prepared> {
  const version = /go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '')?.[1];
  if (Number(version ?? 0) < 26) return { missing: 'there is no go (1.26 or newer)' };
  const folder = join(cache, 'examples/go');
  await rm(folder, { recursive: true, force: true });
  await cp(join(repository, 'examples/go'), folder, { recursive: true });
  // The generator looks for the contract where it is in a checkout.
  await rm(join(cache, 'proto'), { force: true });
  await symlink(join(repository, 'proto'), join(cache, 'proto'));
  const missing = await installed(['go', 'mod', 'download'], folder);
  if (missing !== undefined) return { missing };
  await mustRun(['go', 'generate', '.'], folder);
  await mustRun(['go', 'build', '-o', 'client', '.'], folder);
  return { command: [join(folder, 'client')] };
}
