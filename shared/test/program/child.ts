/** Starts the fixtures as real processes. They use the built package, as programs do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export class Child {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  /** Resolves when it has ended and all that it wrote has arrived. */
  readonly ended: Promise<{ status: number | null; signal: string | null }>;
  #changed: () => void = () => undefined;

  constructor(fixture: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    if (!existsSync(fileURLToPath(new URL('../../dist/program/index.js', import.meta.url)))) {
      throw new Error('shared is not built: run "npm run build" first');
    }
    const path = fileURLToPath(new URL(`./fixtures/${fixture}`, import.meta.url));
    this.process = spawn(process.execPath, [path, ...args], { env: { ...process.env, ...env } });
    this.process.stdout?.on('data', (data: Buffer) => {
      this.stdout += data.toString();
      this.#changed();
    });
    this.process.stderr?.on('data', (data: Buffer) => {
      this.stderr += data.toString();
      this.#changed();
    });
    this.ended = new Promise((resolve) => {
      this.process.once('close', (status, signal) => {
        resolve({ status, signal });
        this.#changed();
      });
    });
  }

  /** Waits for a line of standard output that was not taken yet, and takes it. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.stdout.indexOf('\n');
      if (end >= 0) {
        const line = this.stdout.slice(0, end);
        this.stdout = this.stdout.slice(end + 1);
        return line;
      }
      if (this.process.exitCode !== null) throw new Error(`ended without a line: ${this.stderr}`);
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  /** Waits until standard error holds `text`. */
  async says(text: string): Promise<void> {
    while (!this.stderr.includes(text)) {
      if (this.process.exitCode !== null) throw new Error(`ended without "${text}": ${this.stderr}`);
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  tell(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}
