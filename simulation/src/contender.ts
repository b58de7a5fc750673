/** A client that writes, swaps, appends and reads where others do the same at the same time. */
import { type HoldfastClient, HoldfastError, hasCode } from '@holdfast/client';
import { type Attempt, type Contest, digestOf } from './contest.js';
import { type Outcome, checkReadError, outcomeOf } from './outcome.js';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { Trace } from './trace.js';

/** Between two operations, at most: often enough that two are under way at one path. */
const pauseMs = 4_000;
/** Up to two chunks of a history's size; enough that no two writes are alike. */
const writeBytes: readonly [number, number] = [16, 100_000];
const recordBytes: readonly [number, number] = [30, 2_000];

/** What several clients have in common. */
export interface Arena {
  /** Files that are replaced, */
  readonly files: readonly Contest[];
  /** and one that is appended to. */
  readonly log: Contest;
}

export interface ContenderOptions {
  readonly name: string;
  readonly client: HoldfastClient;
  readonly process: SimulatedProcess;
  readonly arena: Arena;
  readonly random: SeededRandom;
  readonly trace: Trace;
  /** Whether a read may say now that data is lost. */
  readonly mayBeLost: () => boolean;
}

export class Contender {
  readonly #options: ContenderOptions;
  #records = 0;
  /** What was done, by its kind and outcome. */
  readonly outcomes = new Map<string, number>();

  constructor(options: ContenderOptions) {
    this.#options = options;
  }

  /** Goes on until `isOver`. @throws Violation */
  async run(isOver: () => boolean): Promise<void> {
    const { process, random } = this.#options;
    while (!isOver()) {
      await process.clock.sleep(random.fraction() * pauseMs);
      await this.#step();
    }
  }

  async #step(): Promise<void> {
    const { random, arena, client } = this.#options;
    const file = random.pick(arena.files);
    const roll = random.fraction();
    if (roll < 0.25) await this.#write(file);
    else if (roll < 0.5) await this.#swap(file);
    else if (roll < 0.75) await this.#append(arena.log);
    else await this.#read(() => checkArena(client, { files: [file], log: arena.log }, this.#now));
  }

  async #write(file: Contest, expectedVersion?: number): Promise<void> {
    const { client, random } = this.#options;
    const bytes = random.bytes(random.integer(...writeBytes));
    const content = digestOf(bytes);
    const kind = expectedVersion === undefined ? 'shared write' : 'swap';
    const what = `${kind} ${file.path}=${content.slice(0, 8)}`;
    await this.#change(file, kind, file.begin(what, content, expectedVersion), () =>
      client.upload(bytes, file.path, {
        ...{ createParents: true, minWrite: 2, overwrite: true },
        ...(expectedVersion !== undefined && { expectedVersion }),
      }),
    );
  }

  async #swap(file: Contest): Promise<void> {
    const { client } = this.#options;
    let version: number | undefined;
    await this.#read(async () => {
      version = await client.stat(file.path).then(
        (entry) => entry.version,
        (error: unknown) => {
          if (hasCode(error, 'NOT_FOUND')) return 0;
          throw error;
        },
      );
    });
    if (version !== undefined) await this.#write(file, version);
  }

  async #append(log: Contest): Promise<void> {
    const { client, random, name } = this.#options;
    const head = `${name} ${this.#records++} `;
    const record = `${head.padEnd(random.integer(...recordBytes), '.')}\n`;
    await this.#change(log, 'shared append', log.begin(`append ${head.trim()}`, record), () =>
      client.append(Buffer.from(record), log.path, { createParents: true }),
    );
  }

  async #change(
    contest: Contest,
    kind: string,
    attempt: Attempt,
    call: () => Promise<{ readonly version: number }>,
  ): Promise<void> {
    const { trace, name } = this.#options;
    trace.add(name, `${attempt.what} …`);
    let outcome: Outcome = 'ok';
    let version: number | undefined;
    let told = '';
    try {
      ({ version } = await call());
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      outcome = outcomeOf(attempt.what, error);
      told = `: ${error.code} ${error.message}`;
    }
    trace.add(
      name,
      `${attempt.what} ${outcome}${told}${version === undefined ? '' : `: version ${version}`}`,
    );
    this.#count(kind, outcome);
    contest.end(attempt, outcome, version);
  }

  async #read(read: () => Promise<void>): Promise<void> {
    try {
      await read();
      this.#count('shared read', 'ok');
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      checkReadError('a shared read', error, this.#options.mayBeLost());
      this.#count('shared read', 'failed');
    }
  }

  readonly #now = (): number => this.#options.trace.nowMs;

  #count(kind: string, outcome: string): void {
    const key = `${kind} ${outcome}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
  }
}

/** Reads what is there, and holds it against what may be. @throws Violation, HoldfastError if it cannot be read */
export async function checkArena(
  client: HoldfastClient,
  { files, log }: Arena,
  now: () => number,
): Promise<void> {
  for (const file of files) {
    const beganMs = now();
    file.checkRead(await contentAt(client, file.path), beganMs);
  }
  const beganMs = now();
  log.checkText(String((await contentAt(client, log.path)) ?? ''), beganMs);
}

async function contentAt(client: HoldfastClient, path: string): Promise<Buffer | undefined> {
  try {
    return Buffer.from(await client.readFile(path));
  } catch (error) {
    if (hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}
