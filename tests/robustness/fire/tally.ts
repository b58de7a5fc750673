/** What was done, by its kind and outcome. */

export type Outcome = 'ok' | 'refused' | 'unknown' | 'interrupted';

export class Tally {
  readonly #counts = new Map<string, number>();

  add(kind: string, outcome: Outcome): void {
    const key = `${kind} ${outcome}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** How many ended so, of all kinds. */
  total(outcome: Outcome): number {
    return [...this.#counts]
      .filter(([key]) => key.endsWith(` ${outcome}`))
      .reduce((sum, [, count]) => sum + count, 0);
  }

  /** By kind and outcome, in the order of their names. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([one], [other]) => (one < other ? -1 : 1)));
  }
}
