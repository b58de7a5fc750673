/**
 * How a server tells whoever started it that it is ready, or why it is not: one line on standard output, JSON
 * with `--json`, so that a supervisor need not guess from log lines or poll a port.
 */
import { HoldfastError } from '../errors/index.js';

type Facts = Readonly<Record<string, string | number>>;

/** What a ready server says of itself. Values that people and supervisors need, nothing else. */
export type ReadyFacts = Readonly<Record<string, string | number | readonly Facts[]>>;

/**
 * Starts a server and announces the outcome: `{"event":"ready",…facts}` or
 * `{"event":"failed","error":{code,message,remedy}}` with `json`, else a line for people when it is ready.
 * A failure is thrown on, for runProgram to report and to end with its status.
 */
export async function announceStart<T>(
  options: { readonly program: string; readonly json: boolean; readonly facts: (server: T) => ReadyFacts },
  start: () => Promise<T>,
): Promise<T> {
  const { program, json, facts } = options;
  try {
    const server = await start();
    const said = facts(server);
    say(json ? JSON.stringify({ event: 'ready', ...said }) : `${program} is ready: ${forPeople(said)}`);
    return server;
  } catch (error) {
    if (json) {
      const { message } = error as Error;
      const known = HoldfastError.is(error)
        ? { code: error.code, remedy: error.remedy }
        : { code: 'INTERNAL' };
      say(JSON.stringify({ event: 'failed', error: { message, ...known } }));
    }
    throw error;
  }
}

function forPeople(facts: ReadyFacts): string {
  return Object.entries(facts)
    .map(([key, value]) => {
      return typeof value === 'object' ? value.map(forPeople).join('; ') : `${key} ${value}`;
    })
    .join(', ');
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
