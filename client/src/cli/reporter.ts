/**
 * What a verb says, and where: results on standard output, everything else on standard error; with --json only
 * JSON on standard output; when standard output carries a file's bytes, nothing but those.
 */
import { HoldfastError, errnoOf, exitStatusOf, fromErrno } from '@holdfast/shared';
import type { CliIo, Output } from './io.js';
import { terminalName, terminalWords } from './quote.js';

export interface ReporterOptions {
  readonly json: boolean;
  readonly quiet: boolean;
}

export class Reporter {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #io: CliIo;
  #stdoutIsData = false;
  #tellsOfWork = false;
  #lastRemedy = '';

  constructor(io: CliIo, { json, quiet }: ReporterOptions) {
    this.#io = io;
    this.json = json;
    this.quiet = quiet;
  }

  /** From now on standard output carries the bytes of files. */
  keepStdoutForData(): void {
    this.#stdoutIsData = true;
  }

  /** A result: the words for people, or with --json the document, on a line of its own. */
  result(words: string, document: unknown): void {
    if (this.json && !this.#stdoutIsData) this.#write(this.#io.stdout, JSON.stringify(document));
    else if (!this.json) this.#say(this.#stdoutIsData ? this.#io.stderr : this.#io.stdout, words);
  }

  /** A result that is good news only: --quiet does without its words. */
  done(words: string, document: unknown): void {
    this.#tellsOfWork = true;
    if (!this.quiet || this.json) this.result(words, document);
  }

  /** Whether there is more to the verb than what it says: a reader who left has not had all that he wanted. */
  get tellsOfWork(): boolean {
    return this.#tellsOfWork;
  }

  warn(words: string): void {
    this.#tell(`${this.#io.program}: ${words}`);
  }

  /** For whoever looks for the reason of something. */
  debug(words: string): void {
    if (this.#io.env['HOLDFAST_DEBUG'] === '1') this.warn(words);
  }

  /** An error; `about` is what it concerns when there are several things. */
  failure(error: unknown, about: Readonly<Record<string, unknown>> = {}): void {
    const known = asHoldfastError(error);
    this.warn(known.message);
    // Thousands of files that exist need it once.
    if (known.remedy !== '' && known.remedy !== this.#lastRemedy) this.#tell(`  ${known.remedy}`);
    this.#lastRemedy = known.remedy;
    if (this.#io.env['HOLDFAST_DEBUG'] === '1' && known.stack) this.#write(this.#io.stderr, known.stack);
    if (!this.json || this.#stdoutIsData) return;
    const { code, message, remedy, retryable, facts } = known;
    const exitStatus = exitStatusOf(known);
    const document = { ...about, error: { code, message, remedy, retryable, facts, exitStatus } };
    this.#write(this.#io.stdout, JSON.stringify(document));
  }

  /** A name for whoever reads standard output: escaped on a terminal, raw for a program. */
  name(name: string): string {
    return this.#io.stdout.isTTY === true ? terminalName(name) : name;
  }

  #tell(words: string): void {
    this.#say(this.#io.stderr, words);
  }

  /** For people. Whatever a server has put into them, no words move a cursor. */
  #say(stream: Output, words: string): void {
    this.#write(stream, stream.isTTY === true ? terminalWords(words) : words);
  }

  #write(stream: Output, line: string): void {
    stream.write(`${line}\n`);
  }
}

/** Any thrown value as an error with a code; what has none is a defect. */
export function asHoldfastError(error: unknown): HoldfastError {
  if (HoldfastError.is(error)) return error;
  if (errnoOf(error) !== undefined) return fromErrno(error, 'the operating system refused');
  const message = error instanceof Error ? error.message : String(error);
  return new HoldfastError('INTERNAL', message, {
    cause: error,
    remedy: 'This looks like a defect in Holdfast; set HOLDFAST_DEBUG=1 to see where.',
  });
}
