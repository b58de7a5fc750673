/** What happened in a history, for people: lines, the latest or all of them, each with its time and who. */

/** Some minutes of a busy history; the end is what explains a failure. */
const latestLines = 4_000;

export class Trace {
  readonly #maxLines: number;
  #lines: string[] = [];
  #nowMs: () => number = () => 0;

  constructor(maxLines = latestLines) {
    this.#maxLines = maxLines;
  }

  useClock(nowMs: () => number): void {
    this.#nowMs = nowMs;
  }

  /** In virtual time. */
  get nowMs(): number {
    return this.#nowMs();
  }

  add(who: string, what: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const details = Object.entries(fields).map(([name, value]) => ` ${name}=${shown(value)}`);
    this.#lines.push(
      `${(this.#nowMs() / 1_000).toFixed(3).padStart(9)} ${who.padEnd(9)} ${what}${details.join('')}`,
    );
    if (this.#lines.length > this.#maxLines * 2) this.#lines = this.#lines.slice(-this.#maxLines);
  }

  get lines(): readonly string[] {
    return this.#lines.slice(-this.#maxLines);
  }
}

function shown(value: unknown): string {
  if (value instanceof Error) return `"${value.message}"`;
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}
