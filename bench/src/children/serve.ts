/**
 * The child's side of a process of the bench: it answers calls of its parent, and ends with it. What is measured
 * runs in processes of its own, as it would in earnest; sharing the harness's event loop would measure that too.
 */

/** What a child can be asked: async functions, called by name. */
export type Methods = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>;

/** One call, as it travels to the child. */
export interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

/** Its answer: a result, or what was thrown. */
export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly stack?: string | undefined };
}

/** Answers the parent's calls with `methods` until the parent ends. Calls run side by side. */
export function serve(methods: Methods): void {
  // Killed or finished: either way nobody asks any more.
  process.once('disconnect', () => process.exit(0));
  process.on('message', ({ id, method, args }: Call) => {
    const answer = (rest: Omit<Answer, 'id'>): void => void process.send?.({ id, ...rest } satisfies Answer);
    const run = methods[method];
    if (!run) return answer({ error: { message: `no method ${method}` } });
    run(...(args as never[])).then(
      (result) => answer({ result }),
      (thrown: unknown) => {
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        answer({ error: { message: error.message, stack: error.stack } });
      },
    );
  });
}
