/**
 * A private copy of the checkout, to break things in: its files as they are now, the contract's generated types, and
 * links to the packages that are installed. The workspaces' links lead into the copy, so what is changed there is what
 * its tests run; nothing that runs there can change the checkout.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { PrepareError, root } from '../prepare.mjs';

/** Made from the .proto files, and not kept in git. */
const generated = ['proto/src/gen', 'proto/descriptors.json'];

/** Copies the checkout to the directory `to`, which must not exist. */
export function copyCheckout(to) {
  for (const file of workingFiles()) {
    const target = join(to, file);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(root, file), target);
  }
  for (const path of generated) cpSync(join(root, path), join(to, path), { recursive: true });
  linkPackages(to);
}

/** What git tracks or would add, as it is on disk. */
function workingFiles() {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const { status, stdout, stderr } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  if (status !== 0) {
    throw new PrepareError(
      `git cannot list the files of ${root}: ${stderr ?? ''}\nUse a checkout made by git.`,
    );
  }
  return [...new Set(stdout.split('\0'))].filter((file) => file !== '' && existsSync(join(root, file)));
}

/** One link for each installed package; the folder of our own packages is made anew, with links into the copy. */
function linkPackages(to) {
  const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const scope = '@holdfast';
  mkdirSync(join(to, 'node_modules', scope), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== scope) symlinkSync(join(root, 'node_modules', name), join(to, 'node_modules', name));
  }
  for (const workspace of workspaces) {
    symlinkSync(join(to, workspace), join(to, 'node_modules', scope, basename(workspace)));
    // Packages that one workspace has in a version of its own.
    const own = join(workspace, 'node_modules');
    if (existsSync(join(root, own))) symlinkSync(join(root, own), join(to, own));
  }
}
