/** The command line against a cluster in memory: what it prints, and the status it ends with. */
import { devNull } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { systemClock } from '@holdfast/shared/node';
import { runCli } from '../../src/cli/run.js';
import { HoldfastClient } from '../../src/client.js';
import type { FakeCluster } from './fake-cluster.js';

export interface CliOutcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as JSON lines. */
  readonly documents: Record<string, unknown>[];
}

export interface CliSettings {
  readonly stdin?: Readable;
  /** Where records are written that the same command goes on with; by default none can be. */
  readonly stateDirectory?: string;
  readonly isTTY?: boolean;
  /** Given the function that interrupts, when the command listens for it. */
  readonly givenUp?: () => void;
  readonly interruptible?: (interrupt: () => void) => void;
}

const stateVariable = process.platform === 'win32' ? 'LOCALAPPDATA' : 'XDG_STATE_HOME';

function collect(stream: PassThrough): () => Buffer {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  return () => Buffer.concat(parts);
}

export async function cli(
  cluster: FakeCluster,
  argv: string[],
  settings: CliSettings = {},
): Promise<CliOutcome> {
  const stdout = Object.assign(new PassThrough(), { isTTY: settings.isTTY ?? false });
  const stderr = Object.assign(new PassThrough(), { isTTY: settings.isTTY ?? false });
  const out = collect(stdout);
  const err = collect(stderr);
  const io = {
    program: 'client',
    stdin: settings.stdin ?? Readable.from([]),
    stdout,
    stderr,
    env: { [stateVariable]: settings.stateDirectory ?? join(devNull, 'state') },
    typedArguments: () => Promise.resolve([]),
    onInterrupt: (handler: () => void) => {
      settings.interruptible?.(handler);
      return () => undefined;
    },
    onOutputLost: () => () => undefined,
    onGivenUp: () => settings.givenUp?.(),
  };
  const context = cluster.context(undefined, systemClock);
  const status = await runCli(argv, io, async () => new HoldfastClient(context, () => undefined));
  const text = out().toString();
  return {
    status,
    stdout: text,
    stderr: err().toString(),
    get documents() {
      return text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
  };
}
