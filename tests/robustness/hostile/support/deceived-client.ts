/**
 * A client all of whose servers lie, now these and now those, which does one thing after the other. Whatever it is told,
 * each ends in time, and well or with a HoldfastError in words.
 */
import { type HoldfastClient, HoldfastError } from '@holdfast/client';
import { runCli } from '@holdfast/client/insides';
import { trackerV1 } from '@holdfast/proto';
import { isBlockSize, limits } from '@holdfast/shared';
import { mkdir, rm } from 'node:fs/promises';
import { devNull } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type Method, keeperMethods, trackerMethods } from './contract.js';
import { type Scene, Wrong, doings } from './doings.js';
import { fastClient } from './fast-time.js';
import { Inventor, type Mood } from './lies.js';
import { LyingServer } from './lying-server.js';
import type { Choices } from './random.js';
import type { Target } from './target.js';

const { BeginUpload } = trackerV1.UploadService.service;

/**
 * By when everything is over, by a clock that is 20 times as fast: asking for a minute, again and again for each call that
 * a command makes one after the other (some ten), and the pauses of a busy machine.
 */
const patienceMs = 120_000;
/** Whoever is told to stop does so in this time. */
const stopMs = 5_000;
/** Longer texts than any that a person is to read. */
const maxWordsLength = 8_000;
/** What names and texts of servers must not bring onto a terminal. */
const control = /[^\P{Cc}\n]|[\u2028-\u202e\u2066-\u2069]/u;
/** Errors of the language: what was not checked was used. */
const defects = new Set(['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError', 'AssertionError']);

export interface Finding {
  readonly what: string;
  readonly told: readonly string[];
}

export class DeceivedClient {
  /** What must not be, each once. */
  readonly findings = new Map<string, Finding>();
  /** How often what was done ended how. */
  readonly ends = new Map<string, number>();
  slowest = { what: '', durationMs: 0 };
  readonly #target: Target;
  readonly #folder: string;
  readonly #files: ReadonlyMap<string, Buffer>;
  readonly #choices: Choices;
  readonly #tracker: Inventor;
  readonly #keepers: Inventor;
  readonly #servers: LyingServer[] = [];
  #client: HoldfastClient | undefined;
  #trackerAddress = '';
  #attempts = 0;

  private constructor(
    target: Target,
    folder: string,
    files: ReadonlyMap<string, Buffer>,
    choices: Choices,
    addresses: ReadonlyMap<string, string>,
  ) {
    this.#target = target;
    this.#folder = folder;
    this.#files = files;
    this.#choices = choices;
    this.#tracker = new Inventor({ choices, addresses, spares: isBelievable });
    this.#keepers = new Inventor({ choices, addresses });
  }

  /**
   * @param folder its own, on this machine and, by its last name, in the cluster
   * @param files what is stored, by path
   */
  static async start(
    target: Target,
    folder: string,
    files: ReadonlyMap<string, Buffer>,
    choices: Choices,
  ): Promise<DeceivedClient> {
    const addresses = new Map<string, string>();
    const deceived = new DeceivedClient(target, folder, files, choices, addresses);
    const { tracker, keepers } = target.cluster;
    for (const { address } of keepers) {
      const lying = await LyingServer.start(address, keeperMethods, deceived.#keepers);
      addresses.set(address, lying.address);
      deceived.#servers.push(lying);
    }
    const lying = await LyingServer.start(tracker.address, trackerMethods, deceived.#tracker);
    deceived.#servers.push(lying);
    deceived.#trackerAddress = lying.address;
    deceived.#client = fastClient(lying.address);
    await target.client.makeDirectory(deceived.#remote, { parents: true });
    return deceived;
  }

  stop(): void {
    this.#client?.close();
    for (const server of this.#servers) server.stop();
  }

  get #remote(): string {
    return `/${this.#folder.slice(this.#folder.lastIndexOf('/') + 1)}`;
  }

  /** One thing after the other, until `signal` is aborted, which ends the last one. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) await this.#attempt(signal);
  }

  async #attempt(outer: AbortSignal): Promise<void> {
    const choices = this.#choices;
    const [name, doing] = choices.one(Object.entries(doings));
    const who = choices.one(['tracker', 'tracker', 'keepers', 'both']);
    this.#tracker.turn(who === 'keepers' ? { kind: 'honest' } : this.#anyMood());
    this.#keepers.turn(who === 'tracker' ? { kind: 'honest' } : this.#anyMood());
    const what = `${name} (${who})`;
    const abort = new AbortController();
    const { signal } = abort;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      abort.abort();
    }, patienceMs);
    const onOuter = (): void => abort.abort();
    outer.addEventListener('abort', onOuter, { once: true });
    if (outer.aborted) onOuter();
    const folder = join(this.#folder, String((this.#attempts += 1)));
    await mkdir(folder, { recursive: true });
    const terminal: string[] = [];
    const scene: Scene = {
      ...{ client: this.#client!, honest: this.#target.client, choices, signal, folder, files: this.#files },
      fresh: `${this.#remote}/${choices.id()}`,
      trackerIsHonest: who === 'keepers',
      keeperId: this.#target.cluster.keepers[0]!.keeperId,
      cli: (...args) => this.#cli(args, signal, terminal),
    };
    const startedMs = performance.now();
    const end = await Promise.race([
      doing(scene).then(
        () => 'done',
        (error: unknown) => this.#judge(what, error),
      ),
      stuck(signal),
    ]);
    clearTimeout(timer);
    outer.removeEventListener('abort', onOuter);
    const durationMs = performance.now() - startedMs;
    if (durationMs > this.slowest.durationMs) this.slowest = { what, durationMs };
    if (end === 'stuck') this.#find(`${what}: goes on although it was told to stop`);
    else if (isLate) this.#find(`${what}: was not over in ${patienceMs} ms`);
    this.ends.set(end, (this.ends.get(end) ?? 0) + 1);
    this.#look(what, terminal.join(''));
    await rm(folder, { recursive: true, force: true });
  }

  #anyMood(): Mood {
    const choices = this.#choices;
    return choices.once(2) ? { kind: 'stubborn' } : { kind: 'fickle', odds: choices.one([1, 2, 3, 5]) };
  }

  async #cli(args: readonly string[], signal: AbortSignal, terminal: string[]): Promise<number> {
    const stream = (): PassThrough & { isTTY: true; columns: number } => {
      const output = Object.assign(new PassThrough(), { isTTY: true as const, columns: 80 });
      output.on('data', (part: Buffer) => terminal.push(part.toString()));
      return output;
    };
    const io = {
      ...{ program: 'client', stdin: Readable.from([]), stdout: stream(), stderr: stream() },
      env: { XDG_STATE_HOME: join(devNull, 'state') },
      typedArguments: () => Promise.resolve([]),
      onInterrupt: (handler: () => void) => {
        signal.addEventListener('abort', handler, { once: true });
        return () => signal.removeEventListener('abort', handler);
      },
      onOutputLost: () => () => undefined,
      onGivenUp: () => undefined,
    };
    return runCli(args, io, () => Promise.resolve(fastClient(this.#trackerAddress)));
  }

  /** What an end is called; one that must not be is a finding. */
  #judge(what: string, error: unknown): string {
    const words = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (!HoldfastError.is(error)) {
      this.#find(`${what}: ${words}${error instanceof Wrong ? '' : `\n${(error as Error).stack ?? ''}`}`);
      return error instanceof Wrong ? 'wrong' : 'no HoldfastError';
    }
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      if (defects.has(cause.name)) this.#find(`${what}: ${words}\n${cause.stack ?? ''}`);
    }
    if (error.message === '') this.#find(`${what}: ${error.code} without a word`);
    return error.code;
  }

  /** What is on the terminal of whoever typed. */
  #look(what: string, words: string): void {
    const shown = JSON.stringify(words.slice(0, 300));
    // A file's bytes are as they are.
    if (what.includes('head') || what.includes('--json')) return;
    // The bar of a job is drawn with codes of ours.
    const found = control.exec(words.replaceAll('\r\x1b[K', '').replaceAll('\r', ''));
    if (found) {
      const around = words.slice(Math.max(0, found.index - 60), found.index + 60);
      this.#find(`${what}: control characters on the terminal: ${JSON.stringify(around)}`);
    }
    if (words.includes('looks like a defect')) this.#find(`${what}: a defect: ${shown}`);
    const longest = words.split('\n').reduce((most, { length }) => Math.max(most, length), 0);
    if (longest > maxWordsLength) {
      this.#find(`${what}: a line of ${longest} characters: ${shown}`);
    }
  }

  #find(what: string): void {
    const key = what.slice(0, 160);
    if (this.findings.has(key)) return;
    this.findings.set(key, { what, told: [...this.#tracker.told, ...this.#keepers.told].slice(0, 20) });
  }
}

/** Another block size that there could be is for the tracker to say: nobody else knows in what blocks chunks are kept. */
function isBelievable({ name }: Method, _truth: Buffer, lie: Buffer): boolean {
  if (name !== 'BeginUpload') return false;
  try {
    const { blockSizeBytes } = BeginUpload.responseDeserialize(lie);
    return isBlockSize(blockSizeBytes) && blockSizeBytes !== limits.blockSizeBytes;
  } catch {
    return false;
  }
}

/** Resolves when whoever was told to stop had the time to. */
function stuck(signal: AbortSignal): Promise<'stuck'> {
  return new Promise((resolve) => {
    const onAbort = (): void => void setTimeout(() => resolve('stuck'), stopMs).unref();
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
