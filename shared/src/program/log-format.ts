/**
 * One log line out of a message and its fields, for people or for machines. Pure. A line is one line whatever
 * is in it: a path with a newline must not be able to forge a second entry.
 */
import { errnoOf, HoldfastError } from '../errors/index.js';

export interface LogEntry {
  readonly time: Date;
  readonly level: string;
  readonly program: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

// Enough for a stack or a gRPC status; a keeper's full report in a field would bury every other line.
const maxValueLength = 1024;
// Errors wrap one another three or four deep; beyond that it is a loop.
const maxCauses = 6;

const colours: Readonly<Record<string, string>> = {
  debug: '\u001b[2m',
  info: '',
  warn: '\u001b[33m',
  error: '\u001b[31m',
};
const resetColour = '\u001b[0m';

/** Cuts a text to the limit, never inside a surrogate pair, and says how much is gone. */
export function cut(text: string, limit: number = maxValueLength): string {
  if (text.length <= limit) return text;
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(limit - 1));
  const end = splitsPair ? limit - 1 : limit;
  return `${text.slice(0, end)}… (${text.length - end} more)`;
}

/** An error as plain data: its message, code and causes; its stack if it looks like a defect. */
function errorData(error: Error, depth = 0): Record<string, unknown> {
  const code = HoldfastError.is(error) ? error.code : ((error as { code?: unknown }).code ?? undefined);
  // Errors that Holdfast or the system made say where they come from; only a defect needs the stack.
  const isDefect = !HoldfastError.is(error) && errnoOf(error) === undefined && code === undefined;
  return {
    message: cut(error.message),
    ...(code !== undefined && { code }),
    ...(HoldfastError.is(error) && Object.keys(error.facts).length > 0 && { facts: plain(error.facts) }),
    ...(isDefect && depth === 0 && error.stack !== undefined && { stack: cut(error.stack) }),
    ...(error.cause !== undefined &&
      depth < maxCauses && {
        cause: error.cause instanceof Error ? errorData(error.cause, depth + 1) : plain(error.cause),
      }),
  };
}

/** What JSON would refuse, mangle or print at length, made readable; any other value as it is. */
function readable(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return cut(value);
  if (typeof value === 'bigint') return value.toString();
  // Without its stack when it is inside something else: that would push all the rest out of the line.
  if (value instanceof Error) return errorData(value, depth);
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  return value;
}

/** A field as JSON can hold it, and not longer than the limit. */
function plain(field: unknown): unknown {
  const value = readable(field);
  if (typeof value !== 'object' || value === null || field instanceof Error) return value;
  try {
    // `this` holds the value as it was before its toJSON: a Buffer, and not the list of its bytes.
    const text = JSON.stringify(value, function (this: Record<string, unknown>, key: string, inner: unknown) {
      const before = readable(this[key], 1);
      return before === this[key] ? inner : before;
    });
    return text.length <= maxValueLength ? (JSON.parse(text) as unknown) : cut(text);
  } catch {
    return '<cannot be shown>'; // a cycle, or a toJSON that throws: the line matters more than the field
  }
}

const reserved = new Set(['time', 'level', 'program', 'message']);

/** The entry as one line of JSON, with the fields beside time, level, program and message. */
export function formatJson(entry: LogEntry): string {
  const { time, level, program, message } = entry;
  const fields = Object.entries(entry.fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [reserved.has(key) ? `_${key}` : key, plain(value)]);
  const head = { time: time.toISOString(), level, program, message: cut(message) };
  return JSON.stringify({ ...head, ...(Object.fromEntries(fields) as Record<string, unknown>) });
}

// Everything that could move the cursor, end the line or start an escape sequence.
// eslint-disable-next-line no-control-regex
const control = /[\u0000-\u001F\u007F-\u009F\u2028\u2029]/g;

function printable(text: string): string {
  return text.replace(control, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function humanError(data: Record<string, unknown>): string {
  const code = data['code'] === undefined ? '' : ` [${JSON.stringify(data['code']).replaceAll('"', '')}]`;
  const { cause } = data;
  const isError = typeof cause === 'object' && cause !== null && 'message' in cause;
  const because = isError ? humanError(cause) : JSON.stringify(cause);
  return `${String(data['message'])}${code}${cause === undefined ? '' : ` <- ${because}`}`;
}

function humanValue(value: unknown): string {
  const shown = value instanceof Error ? humanError(errorData(value)) : plain(value);
  const text = typeof shown === 'string' ? shown : (JSON.stringify(shown) ?? String(shown));
  return /^[^\s"=]+$/.test(text) ? printable(text) : JSON.stringify(text);
}

/** The entry as one line for people: the local time, the level, the message, `key=value`. */
export function formatHuman(entry: LogEntry, options: { readonly colour: boolean }): string {
  const clock = [entry.time.getHours(), entry.time.getMinutes(), entry.time.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
  const ms = String(entry.time.getMilliseconds()).padStart(3, '0');
  const fields = Object.entries(entry.fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${humanValue(value)}`);
  const line = `${clock}.${ms} ${entry.level.padEnd(5)} ${printable(cut(entry.message))}${fields.join('')}`;
  const colour = options.colour ? (colours[entry.level] ?? '') : '';
  return colour === '' ? line : `${colour}${line}${resetColour}`;
}
