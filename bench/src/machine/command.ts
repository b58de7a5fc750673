/** Programs of the machine (`cp`, `sync`, …), run to their end. */
import { execFile } from 'node:child_process';

/**
 * Runs a program; resolves to what it printed.
 *
 * @throws Error with what it said when it ends with another status than 0, or cannot be started
 */
export function command(program: string, ...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else reject(new Error(`${program} ${args.join(' ')}: ${stderr.trim() || error.message}`));
    });
  });
}
