/**
 * What a program with a client does in the fire: random changes and reads, one after the other, in a directory of its
 * own, each held against the ledger. A path of which nobody knows what it shows is only read until the ledger is
 * settled: what is on its way to it may still come.
 */
import { type HoldfastClient, HoldfastError } from '@holdfast/client';
import { seededBytes } from '../../support/files.js';
import { type Ledger, Violation, isRefusal } from '../../support/ledger.js';
import { chunkSizeBytes } from '../../support/quick-cluster.js';
import { type Numbers, pick } from '../../support/seeded-numbers.js';
import type { Outcome, Tally } from './tally.js';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'sub/g', 'sub/h'];
/** From nothing to some chunks, often around the ends of blocks and chunks. */
const sizes = [
  0,
  1,
  5_000,
  chunkSizeBytes - 1,
  chunkSizeBytes,
  chunkSizeBytes + 1,
  3 * chunkSizeBytes,
  400_000,
];
/** Between two operations, at most: there are others on this machine. */
const maxPauseMs = 150;
const options = { overwrite: true, createParents: true, chunkSizeBytes };

export interface WorkOptions {
  /** Of its directory, and in the tally. */
  readonly name: string;
  readonly client: HoldfastClient;
  readonly ledger: Ledger;
  readonly numbers: Numbers;
  readonly tally: Tally;
  readonly log: (line: string) => void;
}

export class Work {
  readonly #options: WorkOptions;

  constructor(options: WorkOptions) {
    this.#options = options;
  }

  /** Goes on until `isOver`. @throws Violation, and whatever is no HoldfastError */
  async run(isOver: () => boolean): Promise<void> {
    const { numbers } = this.#options;
    const operations: readonly (() => Promise<void>)[] = [
      ...Array.from({ length: 4 }, () => () => this.#upload()),
      ...Array.from({ length: 5 }, () => () => this.#read()),
      () => this.#pack(),
      () => this.#append(),
      () => this.#move(),
      () => this.#copy(),
      () => this.#remove(),
      () => this.#list(),
    ];
    while (!isOver()) {
      await pick(numbers, operations)();
      await new Promise((resolve) => setTimeout(resolve, numbers(maxPauseMs)));
    }
  }

  #bytes(): Buffer {
    const { numbers } = this.#options;
    return seededBytes(numbers(2 ** 30), pick(numbers, sizes));
  }

  #paths(): string[] {
    return names.map((name) => `/${this.#options.name}/${name}`);
  }

  /** One of which it is known what is there, or undefined if there is none. */
  #path(isThere?: boolean): string | undefined {
    const { ledger, numbers } = this.#options;
    const known = this.#paths().filter((path) => {
      const content = ledger.known(path);
      return content !== undefined && (isThere === undefined || isThere === (content !== 'absent'));
    });
    return known.length === 0 ? undefined : pick(numbers, known);
  }

  async #upload(): Promise<void> {
    const { client, ledger } = this.#options;
    const path = this.#path();
    if (path === undefined) return;
    await this.#try('upload', path, () => ledger.upload(client, path, this.#bytes(), options));
  }

  /** Small files that share a chunk; each has an outcome of its own. */
  async #pack(): Promise<void> {
    const { client, ledger, numbers } = this.#options;
    const files = this.#paths()
      .filter((path) => ledger.known(path) !== undefined && numbers(2) === 0)
      .map((path) => ({ path, source: seededBytes(numbers(2 ** 30), numbers(9_000)) }));
    const outcomes = new Map(files.map(({ path }) => [path, deferred()]));
    // What is not told of is unknown.
    const unknown = new HoldfastError('UNAVAILABLE', 'nothing was said of it');
    const all = files.map(({ path, source }) => {
      const { promise } = outcomes.get(path)!;
      return this.#try('pack', path, () => ledger.change([[path, source]], () => promise));
    });
    await (async () => {
      for await (const { file, error } of client.uploadMany(files, options)) {
        outcomes.get(file.path)?.settle(error);
      }
    })().catch((error: unknown) => {
      if (!HoldfastError.is(error) || error.code === 'INTERNAL') throw error;
    });
    for (const { settle } of outcomes.values()) settle(unknown);
    await Promise.all(all);
  }

  async #append(): Promise<void> {
    const { client, ledger } = this.#options;
    const path = this.#path();
    if (path === undefined) return;
    const before = ledger.known(path);
    const more = this.#bytes();
    const after = before instanceof Buffer ? Buffer.concat([before, more]) : more;
    // One that has grown long is replaced some time.
    if (after.length > 2_000_000) return;
    await this.#try('append', path, () =>
      ledger.change([[path, after]], () => client.append(more, path, { createParents: true })),
    );
  }

  async #move(): Promise<void> {
    const { client, ledger } = this.#options;
    const [from, to] = [this.#path(true), this.#path()];
    if (from === undefined || to === undefined || from === to) return;
    const changes = [[to, ledger.known(from)!] as const, [from, 'absent'] as const];
    await this.#try('move', to, () =>
      ledger.change(changes, () => client.move(from, to, { overwrite: true })),
    );
  }

  async #copy(): Promise<void> {
    const { client, ledger } = this.#options;
    const [from, to] = [this.#path(true), this.#path()];
    if (from === undefined || to === undefined || from === to) return;
    await this.#try('copy', to, () =>
      ledger.change([[to, ledger.known(from)!]], () => client.copy(from, to, { overwrite: true })),
    );
  }

  /** And sometimes changes its mind. */
  async #remove(): Promise<void> {
    const { client, ledger, numbers } = this.#options;
    const path = this.#path(true);
    if (path === undefined) return;
    const content = ledger.known(path)!;
    await this.#try('remove', path, () => ledger.remove(client, path));
    if (ledger.known(path) !== 'absent' || numbers(2) === 0) return;
    await this.#try('restore', path, () => ledger.change([[path, content]], () => client.restore(path)));
  }

  async #read(): Promise<void> {
    const { client, ledger, numbers } = this.#options;
    const path = pick(numbers, this.#paths());
    const content = ledger.known(path);
    const isWhole = !(content instanceof Buffer) || content.length === 0 || numbers(2) === 0;
    const start = isWhole ? 0 : numbers(content.length);
    const end = isWhole ? Infinity : start + numbers(content.length - start);
    await this.#try('read', path, () => ledger.check(client, path, start, end));
  }

  async #list(): Promise<void> {
    const { client, ledger, name } = this.#options;
    await this.#try('list', name, async () => {
      const found = new Set<string>();
      for await (const { path, type } of client.list(`/${name}`, { depth: Infinity })) {
        if (type === 'file') found.add(path);
      }
      for (const path of this.#paths()) {
        const content = ledger.known(path);
        if (content === undefined || found.has(path) === (content !== 'absent')) continue;
        throw new Violation(`${path} is ${found.has(path) ? '' : 'not '}listed`);
      }
    });
  }

  /** Tells and counts what became of an operation. */
  async #try(kind: string, what: string, operation: () => Promise<unknown>): Promise<void> {
    const { tally, log } = this.#options;
    const startMs = performance.now();
    let outcome: Outcome = 'ok';
    try {
      await operation();
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      outcome = kind === 'read' || kind === 'list' || isRefusal(error) ? 'refused' : 'unknown';
      const tookMs = Math.round(performance.now() - startMs);
      log(`${kind} ${what}: ${outcome} after ${tookMs} ms: ${error.code} ${error.message}`);
    }
    tally.add(kind, outcome);
  }
}

/** A promise that the first call of `settle` settles. */
function deferred(): { promise: Promise<void>; settle: (error?: Error) => void } {
  let settle = (_error?: Error): void => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  return { promise, settle };
}
