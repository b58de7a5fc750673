/**
 * What a script with the command line does in the fire: uploads, downloads and syncs as processes of their own, which
 * are killed, interrupted and frozen in the middle. The same command again must always end well, some time.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdir, readFile, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { start } from '../../support/command.js';
import { seededBytes } from '../../support/files.js';
import { type Ledger, Violation } from '../../support/ledger.js';
import { type Numbers, pick } from '../../support/seeded-numbers.js';
import type { Tally } from './tally.js';

/** How often one and the same command is ended from outside. */
const maxEndings = 3;
/** After which it is ended or frozen, at most: a process takes half a second to start. */
const maxEndingMs = 2_500;
const maxFreezeMs = 4_000;
/** The time limit of every command, whatever goes wrong. */
const limitMs = 180_000;
const interruptedStatus = 130;
/** What a command may end with, beside 0: not available, out of space; a Ctrl-C at the terminal reaches it as well. */
const fineStatuses = [5, 8, interruptedStatus];

export interface CommandsOptions {
  /** HOST:PORT. */
  readonly tracker: string;
  /** For its files. */
  readonly folder: string;
  readonly ledger: Ledger;
  readonly numbers: Numbers;
  readonly tally: Tally;
  readonly log: (line: string) => void;
}

export class Commands {
  readonly #options: CommandsOptions;
  /** The files of the tree that is synced, by name. */
  readonly #tree = new Map<string, Buffer>();
  #isOver: () => boolean = () => true;

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /** Goes on until `isOver`; what was begun is then brought to its end. @throws Violation */
  async run(isOver: () => boolean): Promise<void> {
    const { folder, numbers } = this.#options;
    this.#isOver = isOver;
    const tree = join(folder, 'tree');
    await mkdir(tree, { recursive: true });
    // Of an earlier phase.
    for (const name of await readdir(tree)) this.#tree.set(name, await readFile(join(tree, name)));
    while (!isOver()) {
      await pick(numbers, [() => this.#transfer(), () => this.#sync()])();
    }
  }

  /** Up, and down again. */
  async #transfer(): Promise<void> {
    const { folder, ledger, numbers } = this.#options;
    const [source, target] = [join(folder, 'source.bin'), join(folder, 'back.bin')];
    const path = `/commands/file-${numbers(4)}`;
    // Of some it is worth while to write down how far they are: two chunks and more, and 32 MiB on the way down.
    const bytes = seededBytes(numbers(2 ** 30), numbers(8) === 0 ? 34_000_000 : 1 + numbers(4_000_000));
    await writeFile(source, bytes);
    const flags = ['--force', '--parents', '--chunk-size', bytes.length > 8_000_000 ? '4MiB' : '256KiB'];
    await ledger.change([[path, bytes]], () => this.#untilDone('upload', [source, path, ...flags]));
    await this.#untilDone('download', [path, target, '--force']);
    if (!(await readFile(target)).equals(bytes)) throw new Violation(`${path} came down with other bytes`);
    await rm(target);
  }

  /** Changes some files of a tree, and has the cluster have the same. */
  async #sync(): Promise<void> {
    const { folder, ledger, numbers } = this.#options;
    const tree = join(folder, 'tree');
    const before = new Map(this.#tree);
    for (let changes = 1 + numbers(20); changes > 0; changes -= 1) {
      const name = `n-${numbers(40)}`;
      if (numbers(4) === 0) {
        if (this.#tree.delete(name)) await unlink(join(tree, name));
      } else {
        const bytes = seededBytes(numbers(2 ** 30), 1 + numbers(12_000));
        this.#tree.set(name, bytes);
        await writeFile(join(tree, name), bytes);
      }
    }
    const changed = [...new Set([...before.keys(), ...this.#tree.keys()])].filter(
      (name) => before.get(name) !== this.#tree.get(name),
    );
    const changes = changed.map((name) => [`/tree/${name}`, this.#tree.get(name) ?? 'absent'] as const);
    await ledger.change(changes, () => this.#untilDone('sync', [tree, ':/tree', '--delete']));
  }

  /** The same command, again and again, until its status is 0. @throws Violation for any other than it may have */
  async #untilDone(verb: string, args: readonly string[]): Promise<void> {
    const { tracker, folder, numbers, tally, log } = this.#options;
    for (let turn = 0; ; turn += 1) {
      const mayEnd = turn < maxEndings && !this.#isOver() && numbers(2) === 0;
      const signal = mayEnd ? pick(numbers, ['SIGKILL', 'SIGINT', 'SIGSTOP'] as const) : undefined;
      const running = start('client', [verb, ...args, '--tracker', tracker], {
        environment: { XDG_STATE_HOME: join(folder, 'state') },
        limitMs,
      });
      const timers = signal === undefined ? [] : endLater(running.child, signal, numbers);
      const { status, signal: endedBy, stderr } = await running.finished;
      for (const timer of timers) clearTimeout(timer);
      if (status === 0) {
        tally.add(verb, 'ok');
        return;
      }
      const wasEnded = signal !== undefined && (status === interruptedStatus || endedBy === signal);
      tally.add(verb, wasEnded ? 'interrupted' : 'refused');
      log(`client ${verb} ended with ${status ?? endedBy}: ${stderr.trim().slice(-300)}`);
      if (!wasEnded && !fineStatuses.includes(status ?? -1)) {
        throw new Violation(`client ${[verb, ...args].join(' ')} ended with ${status ?? endedBy}: ${stderr}`);
      }
    }
  }
}

/** Nothing happens to a process that has ended by then. */
function endLater(child: ChildProcess, signal: NodeJS.Signals, numbers: Numbers): NodeJS.Timeout[] {
  const send = (what: NodeJS.Signals, afterMs: number): NodeJS.Timeout =>
    setTimeout(() => child.kill(what), afterMs);
  const atMs = numbers(maxEndingMs);
  const first = send(signal, atMs);
  return signal === 'SIGSTOP' ? [first, send('SIGCONT', atMs + 1 + numbers(maxFreezeMs))] : [first];
}
