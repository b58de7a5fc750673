/**
 * What a client of a history does: random changes and reads, one after the other, in a directory of its own, each held
 * against the model.
 */
import { type HoldfastClient, HoldfastError, hasCode } from '@holdfast/client';
import { absent, type Content, type Model } from './model.js';
import { afterUnknownMs, checkReadError, outcomeOf } from './outcome.js';
import type { SeededRandom } from './seeded-random.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { Trace } from './trace.js';
import { Violation } from './violation.js';

const names = ['a', 'b', 'c', 'd', 'sub/e', 'sub/f'];
/** Up to four chunks of the history's size, often less than a block. */
const sizes = [0, 1, 100, 5_000, 65_535, 65_536, 65_537, 150_000, 262_144];
/** Between two operations, at most. */
const pauseMs = 1_500;

interface Connected {
  readonly client: HoldfastClient;
  readonly process: SimulatedProcess;
}

export interface WorkloadOptions {
  readonly name: string;
  /** Starts a process of it; told if that is killed. */
  readonly connect: (onKilled: () => void) => Connected;
  readonly model: Model;
  readonly random: SeededRandom;
  readonly trace: Trace;
  /** Whether a read may say now that data is lost. */
  readonly mayBeLost: () => boolean;
}

export class Workload {
  #options: WorkloadOptions & Connected;
  #killed: Promise<'killed'>;
  readonly #home: string;
  /** What was done, by its kind and outcome. */
  readonly outcomes = new Map<string, number>();

  constructor(options: WorkloadOptions) {
    [this.#options, this.#killed] = connected(options);
    this.#home = `/${options.name}`;
  }

  /**
   * Goes on until `isOver`. What a process that is killed has begun stays in the model as what may be, and another one
   * goes on where it ended.
   *
   * @throws Violation
   */
  async run(isOver: () => boolean): Promise<void> {
    let work = this.#work(isOver);
    while ((await Promise.race([work, this.#killed])) === 'killed') {
      [this.#options, this.#killed] = connected(this.#options);
      work = this.#takeOver().then(() => this.#work(isOver));
    }
  }

  /** Nothing of before is on its way any more; what was being restored is the one thing that the model does not know. */
  async #takeOver(): Promise<void> {
    this.#trace('takes over from a process that was killed');
    this.#count('take over', 'ok');
    await this.#forget(this.#restored);
  }

  get #restored(): string {
    return `${this.#home}/restored`;
  }

  async #work(isOver: () => boolean): Promise<void> {
    const { process, random } = this.#options;
    while (!isOver()) {
      await this.#step();
      await process.clock.sleep(random.fraction() * pauseMs);
    }
  }

  async #step(): Promise<void> {
    const { random } = this.#options;
    const path = this.#path();
    const roll = random.fraction();
    if (roll < 0.25) await this.#upload(path);
    else if (roll < 0.35) await this.#uploadMany();
    else if (roll < 0.43) await this.#append(path);
    else if (roll < 0.68) await this.#readSome(path);
    else if (roll < 0.74) await this.#remove(path);
    else if (roll < 0.76) await this.#removeTree(`${this.#home}/sub`);
    else if (roll < 0.83) await this.#move(path, this.#path());
    else if (roll < 0.9) await this.#copy(path, this.#path());
    else if (roll < 0.95) await this.#restore(this.#goneOr(path));
    else if (roll < 0.96) await this.#emptyTrash();
    else if (roll < 0.98) await this.#listTrash();
    else await this.#list();
  }

  get #paths(): string[] {
    return names.map((name) => `${this.#home}/${name}`);
  }

  #path(): string {
    return this.#options.random.pick(this.#paths);
  }

  /** A path where something was and nothing is, if there is one: only there a restore has anything to do. */
  #goneOr(path: string): string {
    const { model, random } = this.#options;
    const gone = this.#paths.filter(
      (each) => model.known(each) === absent && model.restorable(each).size > 0,
    );
    return gone.length > 0 ? random.pick(gone) : path;
  }

  async #upload(path: string): Promise<void> {
    const { client, model, random } = this.#options;
    const bytes = random.bytes(random.pick(sizes));
    const content = model.contentOf(bytes);
    const options = { overwrite: true, createParents: true, minWrite: 2 };
    await this.#change('upload', [[path, content]], () => client.upload(bytes, path, options));
  }

  /** Small files that share a chunk; each has an outcome of its own. */
  async #uploadMany(): Promise<void> {
    const { client, model, random, process } = this.#options;
    const files = names
      .filter(() => random.chance(0.6))
      .map((name) => ({ path: `${this.#home}/${name}`, source: random.bytes(random.integer(0, 3_000)) }));
    const before = new Map(files.map(({ path }) => [path, model.allowed(path)]));
    for (const { path, source } of files) model.maybe(path, model.contentOf(source));
    const open = new Set(files.map(({ path }) => path));
    let isUnknown = false;
    try {
      const options = { overwrite: true, createParents: true, minWrite: 2 };
      for await (const { file, error } of client.uploadMany(files, options)) {
        const { path, source } = file;
        open.delete(path);
        const outcome = error ? outcomeOf('pack', error) : 'ok';
        this.#trace(`pack ${path}=${model.contentOf(source).slice(0, 8)} ${outcome} ${error?.message ?? ''}`);
        this.#count('pack', outcome);
        if (outcome === 'ok') model.is(path, model.contentOf(source));
        else if (outcome === 'failed') model.was(path, before.get(path) ?? new Set([absent]));
        else isUnknown = true;
      }
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      isUnknown = true;
    }
    if (isUnknown || open.size > 0) await process.clock.sleep(afterUnknownMs);
  }

  async #append(path: string): Promise<void> {
    const { client, model, random } = this.#options;
    const known = model.known(path);
    if (known === undefined) return;
    const more = random.bytes(random.pick(sizes));
    const content = model.contentOf(
      Buffer.concat([known === absent ? Buffer.alloc(0) : model.bytesOf(known), more]),
    );
    await this.#change('append', [[path, content]], () => client.append(more, path, { createParents: true }));
  }

  async #removeTree(path: string): Promise<void> {
    const { client, model } = this.#options;
    const below = model.paths.filter((each) => each.startsWith(`${path}/`));
    await this.#change(
      'remove tree',
      below.map((each) => [each, absent]),
      () => client.remove(path, { recursive: true }),
    );
  }

  async #remove(path: string): Promise<void> {
    const { client } = this.#options;
    await this.#change('remove', [[path, absent]], () => client.remove(path));
  }

  async #move(from: string, to: string): Promise<void> {
    const { client, model } = this.#options;
    const content = model.known(from);
    if (content === undefined || content === absent || from === to) return;
    await this.#change(
      'move',
      [
        [to, content],
        [from, absent],
      ],
      () => client.move(from, to, { overwrite: true }),
    );
  }

  async #copy(from: string, to: string): Promise<void> {
    const { client, model } = this.#options;
    const content = model.known(from);
    if (content === undefined || content === absent || from === to) return;
    await this.#change('copy', [[to, content]], () => client.copy(from, to, { overwrite: true }));
  }

  /** Brings back what was deleted last, which is one of the things that were there. */
  async #restore(path: string): Promise<void> {
    const { client, model } = this.#options;
    if (model.known(path) !== absent) return;
    const to = this.#restored;
    try {
      await client.restore(path, { to, overwrite: true });
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      const outcome = outcomeOf(`restore ${path}`, error);
      this.#trace(`restore ${path} ${outcome}: ${error.code} ${error.message}`);
      this.#count('restore', outcome);
      // Any version that ever was at the path may be there now; it is removed, and then known.
      if (outcome === 'unknown') await this.#forget(to);
      return;
    }
    this.#trace(`restore ${path} ok`);
    this.#count('restore', 'ok');
    model.isOneOf(to, model.restorable(path));
    const bytes = await this.#read(to);
    if (bytes) model.saw(to, model.contentOf(bytes));
  }

  /** What was deleted and replaced before does not come back. */
  async #emptyTrash(): Promise<void> {
    const { client, model, process } = this.#options;
    try {
      const { versions } = await client.emptyTrash(this.#home);
      for (const path of this.#paths) model.gaveUp(path);
      this.#trace(`empty trash ok: ${versions} versions`);
      this.#count('empty trash', 'ok');
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      const outcome = outcomeOf('emptying the trash', error);
      this.#trace(`empty trash ${outcome}: ${error.code} ${error.message}`);
      this.#count('empty trash', outcome);
      if (outcome === 'unknown') await process.clock.sleep(afterUnknownMs);
    }
  }

  /** Of each path there is only what was or may have been there. */
  async #listTrash(): Promise<void> {
    const { client, model } = this.#options;
    try {
      for await (const { path, sizeBytes } of client.listTrash(this.#home)) {
        // What a restore may have brought there only the cluster knows.
        if (path === this.#restored) continue;
        const isKnown = [...model.restorable(path)].some(
          (content) => model.bytesOf(content).length === sizeBytes,
        );
        if (!isKnown)
          throw new Violation(`the trash has ${sizeBytes} bytes of ${path}, where they never were`);
      }
      this.#count('list trash', 'ok');
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      this.#count('list trash', 'failed');
      checkReadError(`listing the trash of ${this.#home}`, error, false);
    }
  }

  /** Removes a path of which nobody knows what it shows, until it certainly shows nothing. */
  async #forget(path: string): Promise<void> {
    const { client, model, process } = this.#options;
    for (;;) {
      await process.clock.sleep(afterUnknownMs);
      try {
        await client.remove(path);
        break;
      } catch (error) {
        if (hasCode(error, 'NOT_FOUND')) break;
      }
    }
    model.is(path, absent);
  }

  async #change(
    kind: string,
    changes: readonly (readonly [path: string, content: Content])[],
    call: () => Promise<unknown>,
  ): Promise<void> {
    const { model, process, trace, name } = this.#options;
    const before = changes.map(([path]) => [path, model.allowed(path)] as const);
    for (const [path, content] of changes) model.maybe(path, content);
    const what = `${kind} ${changes.map(([path, content]) => `${path}=${content.slice(0, 8)}`).join(' ')}`;
    trace.add(name, `${what} …`);
    try {
      await call();
      for (const [path, content] of changes) model.is(path, content);
      this.#count(kind, 'ok');
      trace.add(name, `${what} ok`);
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      const outcome = outcomeOf(what, error);
      trace.add(name, `${what} ${outcome}: ${error.code} ${error.message}`);
      this.#count(kind, outcome);
      if (outcome === 'failed') {
        for (const [path, contents] of before) {
          model.was(path, contents);
          if (kind === 'remove') this.#checkAbsence(path, error);
        }
      } else await process.clock.sleep(afterUnknownMs);
    }
  }

  /** A refusal is an answer like any other: what was acknowledged is there to be removed. */
  #checkAbsence(path: string, error: HoldfastError): void {
    const known = this.#options.model.known(path) ?? absent;
    if (error.code !== 'NOT_FOUND' || known === absent) return;
    throw new Violation(`${path} was acknowledged, and cannot be removed: ${error.message}`);
  }

  async #readSome(path: string): Promise<void> {
    const { random } = this.#options;
    const start = random.chance(0.5) ? 0 : random.integer(0, 200_000);
    await this.#read(path, start, start === 0 ? undefined : start + random.integer(0, 100_000));
  }

  /** Resolves to what was read, which is what may be there; undefined if it could not be. */
  async #read(path: string, start = 0, end?: number): Promise<Buffer | undefined> {
    const { model, trace, name, mayBeLost } = this.#options;
    try {
      const bytes = await this.#readAll(path, start, end);
      const fits = [...model.allowed(path)].some(
        (content) =>
          content !== absent &&
          model
            .bytesOf(content)
            .subarray(start, (end ?? Infinity) + 1)
            .equals(bytes),
      );
      trace.add(name, `read ${path} ${start}-${end ?? ''}: ${bytes.length} bytes`);
      if (!fits)
        throw new Violation(`${path} has other bytes than were stored, from ${start} to ${end ?? 'its end'}`);
      this.#count('read', 'ok');
      return bytes;
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      trace.add(name, `read ${path}: ${error.code} ${error.message}`);
      this.#count('read', 'failed');
      checkReadError(`reading ${path}`, error, mayBeLost());
      if (error.code === 'NOT_FOUND' && !model.allowed(path).has(absent)) {
        throw new Violation(`${path} was acknowledged and is not there: ${error.message}`);
      }
      return undefined;
    }
  }

  async #list(): Promise<void> {
    const { client, model } = this.#options;
    try {
      const found = new Set<string>();
      for await (const { path, type } of client.list(this.#home, { depth: Infinity })) {
        if (type === 'file') found.add(path);
      }
      for (const path of model.paths.filter((each) => each.startsWith(`${this.#home}/`))) {
        const allowed = model.allowed(path);
        if (found.has(path) ? allowed.size === 1 && allowed.has(absent) : !allowed.has(absent)) {
          throw new Violation(
            `${path} is ${found.has(path) ? '' : 'not '}listed, and should ${found.has(path) ? 'not ' : ''}be`,
          );
        }
      }
      this.#count('list', 'ok');
    } catch (error) {
      if (!HoldfastError.is(error)) throw error;
      this.#count('list', 'failed');
      checkReadError(`listing ${this.#home}`, error, false);
    }
  }

  async #readAll(path: string, start: number, end: number | undefined): Promise<Buffer> {
    const { client } = this.#options;
    const parts: Buffer[] = [];
    const range = { start, ...(end !== undefined && { end }) };
    for await (const part of client.createReadStream(path, range))
      parts.push(Buffer.from(part as Uint8Array));
    return Buffer.concat(parts);
  }

  #trace(what: string): void {
    this.#options.trace.add(this.#options.name, what);
  }

  #count(kind: string, outcome: string): void {
    const key = `${kind} ${outcome}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
  }
}

/** With a new process, and the end of that if it is killed. */
function connected(
  options: WorkloadOptions,
): [options: WorkloadOptions & Connected, killed: Promise<'killed'>] {
  let onKilled = (): void => undefined;
  const killed = new Promise<'killed'>((resolve) => (onKilled = () => resolve('killed')));
  return [{ ...options, ...options.connect(onKilled) }, killed];
}
