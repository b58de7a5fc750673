/**
 * How Node itself has to be started for a keeper. By default V8 takes the buffers of a gigabyte that passes
 * through for a heap that grows, and collects garbage a hundred times for nothing: half of a keeper's CPU time
 * (docs/performance.md). A flag prevents that, and V8 reads it at its start only.
 */

/** For whoever starts a keeper: `node ...nodeFlags data-keeper.cjs`. Costs no memory that is not used. */
export const nodeFlags: readonly string[] = ['--initial-old-space-size=512'];

/** Flags with which somebody has chosen the heap's size already. */
const heapFlag = /^--(initial|max)[-_](old[-_]space|heap)[-_]size/;

/** Of the process, as far as it is needed to start again. */
export interface Restartable {
  readonly execPath: string;
  readonly execArgv: readonly string[];
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Node 22.15 and newer, not on Windows: becomes another program under the same process id. */
  readonly execve?: (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => never;
}

/**
 * Starts this very program again with `nodeFlags`, if it was started without and Node can do it; then it does not
 * return. Elsewhere the keeper works all the same, slower.
 */
export function restartWithNodeFlags(self: Restartable = process): void {
  const given = [...self.execArgv, ...(self.env['NODE_OPTIONS'] ?? '').split(/\s+/)];
  if (!self.execve || given.some((flag) => heapFlag.test(flag))) return;
  const args = [self.execPath, ...nodeFlags, ...self.execArgv, ...self.argv.slice(1)];
  try {
    self.execve(self.execPath, args, self.env);
  } catch {
    // Not on this platform: the flags are a matter of speed only.
  }
}
