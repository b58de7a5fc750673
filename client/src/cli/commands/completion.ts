/** `client completion`: what a shell needs to complete verbs, flags and remote paths. */
import { HoldfastError } from '@holdfast/shared';
import type { Entry } from '../../ports/tracker-api.js';
import type { CommandContext, CommandSpec } from '../command.js';
import { candidatesFor } from '../completion.js';
import { completionScript, localLine, pathsLine, shells } from '../completion-scripts.js';

/** @param commands all verbs of the program */
export function completionCommand(commands: () => readonly CommandSpec[]): CommandSpec {
  return {
    name: 'completion',
    synopsis: 'SHELL',
    describe: 'Print a script that makes bash, zsh or fish complete verbs, flags and remote paths',
    details:
      'Remote paths are asked of the cluster that HOLDFAST_TRACKER names; one that does not answer within 2 s offers ' +
      'none. In fish: client completion fish | source.',
    options: {},
    choices: shells,
    examples: [
      ['source <(client completion bash)', 'for this shell; in ~/.bashrc for each one'],
      ['client completion zsh > "${fpath[1]}/_client"', 'for zsh'],
    ],
    minPaths: 1,
    maxPaths: Infinity,
    async run(context) {
      const { paths, io } = context;
      const [what = '', ...words] = paths;
      const shell = shells.find((one) => one === what);
      if (what === 'words') await offer(context, words, commands());
      else if (shell) io.stdout.write(completionScript(shell, io.program));
      else {
        const message = `there is no script for "${what}"`;
        throw new HoldfastError('INVALID_ARGUMENT', message, { remedy: `Name one of ${shells.join(', ')}.` });
      }
      return 0;
    },
  };
}

/** A prompt is no place for errors: what cannot be known is not offered. */
async function offer(
  { io, signal, connect }: CommandContext,
  before: readonly string[],
  commands: readonly CommandSpec[],
): Promise<void> {
  async function* list(directory: string): AsyncGenerator<Entry, void, undefined> {
    try {
      yield* (await connect()).list(directory, { signal });
    } catch {
      // Nothing is offered.
    }
  }
  const typed = io.env['HOLDFAST_WORD'] ?? '';
  const { words, arePaths, alsoLocal } = await candidatesFor(before, typed, commands, list);
  const lines = [...(arePaths ? [pathsLine] : []), ...(alsoLocal ? [localLine] : []), ...words];
  io.stdout.write(lines.map((line) => `${line}\n`).join(''));
}
