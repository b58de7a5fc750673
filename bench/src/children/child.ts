/** A process of the bench, as its parent sees it: methods to call, a pid to account for, an end. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Answer, Call, Methods } from './serve.js';

export interface ChildOptions {
  /** Flags for Node itself. */
  readonly nodeFlags?: readonly string[];
  /** Variables beside this process's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A child has nothing to finish when it is told to end; one that takes longer than this hangs. */
const stopTimeoutMs = 5_000;

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A child whose methods are `M`: the type of what its module gives to `serve`. */
export class Child<M extends Methods> {
  readonly pid: number;
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;

  private constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#process = child;
    this.pid = child.pid ?? 0;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    child.on('message', (answer: Answer) => this.#settle(answer));
    child.once('exit', (status, signal) => this.#failAll(`ended (${signal ?? `status ${status ?? '?'}`})`));
    child.on('error', (error) => this.#failAll(error.message));
  }

  /** Starts the module at `url`, a file that calls `serve`. */
  static async start<M extends Methods>(url: URL, options: ChildOptions = {}): Promise<Child<M>> {
    const path = fileURLToPath(url);
    const forked = fork(path, {
      execArgv: [...(options.nodeFlags ?? [])],
      env: { ...process.env, ...options.environment },
      // Typed arrays and errors travel as what they are.
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A Ctrl-C at the terminal goes to the bench alone, which then ends its children in order.
      detached: process.platform !== 'win32',
    });
    await once(forked, 'spawn');
    return new Child<M>(basename(path, '.js'), forked);
  }

  /** Calls a method of the child; rejects with what it threw, or when the child ends. */
  call<K extends keyof M & string>(method: K, ...args: Parameters<M[K]>): ReturnType<M[K]> {
    const id = (this.#lastId += 1);
    const answer = new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#process.send({ id, method, args } satisfies Call, (error) => {
        if (error) this.#settle({ id, error });
      });
    });
    return answer as ReturnType<M[K]>;
  }

  /** Ends the child; resolves when it is gone. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    if (this.#process.connected) this.#process.disconnect();
    const force = setTimeout(() => this.#process.kill('SIGKILL'), stopTimeoutMs);
    await this.#exited;
    clearTimeout(force);
  }

  #settle({ id, result, error }: Answer): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (!error) pending?.resolve(result);
    else pending?.reject(Object.assign(new Error(`${this.#name}: ${error.message}`), { cause: error }));
  }

  #failAll(what: string): void {
    for (const id of [...this.#pending.keys()]) this.#settle({ id, error: { message: what } });
  }
}
