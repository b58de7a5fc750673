/**
 * Values as people type them: sizes, durations, addresses. Flags, variables, config files and the client's
 * sub-commands all read them here, so `16MiB` means the same everywhere and a typing error gets one kind of
 * answer. Pure. Every function throws HoldfastError INVALID_ARGUMENT with what it got and what it expects.
 */
import { HoldfastError } from '../errors/index.js';

/** Where something listens or is to be reached. IPv6 hosts are without brackets here. */
export interface Address {
  readonly host: string;
  /** 0 to 65535; 0 asks for any free port and is only for listening. */
  readonly port: number;
}

// A lone K, M, G or T counts in 1024s, as in dd, truncate and du; the letters "iB" or "B" make it exact.
const bytesPerUnit: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  ...Object.fromEntries(
    ['k', 'm', 'g', 't', 'p'].flatMap((letter, index) => [
      [letter, 1024 ** (index + 1)],
      [`${letter}ib`, 1024 ** (index + 1)],
      [`${letter}b`, 1000 ** (index + 1)],
    ]),
  ),
};

const msPerUnit: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function wrong(text: string, problem: string, expected: string): HoldfastError {
  return new HoldfastError('INVALID_ARGUMENT', `"${text}" ${problem}; expected ${expected}`);
}

/** Splits "1.5 GiB" into its number and its unit in small letters. */
function numberAndUnit(text: string): { amount: number; unit: string } | undefined {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return undefined;
  return { amount: Number(match[1]), unit: (match[2] ?? '').toLowerCase() };
}

/**
 * A size in bytes: "16MiB", "1.5GB", "64k", "4096". KiB, MiB … count in 1024s, KB, MB … in 1000s. Whole
 * bytes, rounded; at most 2^53 - 1.
 */
export function parseSize(text: string): number {
  const expected = 'a size, such as 16MiB, 1.5GB or 4096';
  const parts = numberAndUnit(text);
  if (parts === undefined) throw wrong(text, 'is not a size', expected);
  const factor = bytesPerUnit[parts.unit];
  if (factor === undefined) throw wrong(text, `has the unknown unit "${parts.unit}"`, expected);
  const bytes = Math.round(parts.amount * factor);
  if (!Number.isSafeInteger(bytes)) throw wrong(text, 'is too large', expected);
  return bytes;
}

/**
 * A duration in milliseconds: "500ms", "30s", "5m", "1.5h", "2d". Only 0 may go without its unit: a bare 30
 * would be seconds to one reader and milliseconds to the next.
 */
export function parseDuration(text: string): number {
  const expected = 'a duration, such as 500ms, 30s, 5m, 1.5h or 2d';
  const parts = numberAndUnit(text);
  if (parts === undefined) throw wrong(text, 'is not a duration', expected);
  if (parts.unit === '' && parts.amount === 0) return 0;
  if (parts.unit === '') throw wrong(text, 'has no unit', expected);
  const factor = msPerUnit[parts.unit];
  if (factor === undefined) throw wrong(text, `has the unknown unit "${parts.unit}"`, expected);
  const ms = Math.round(parts.amount * factor);
  if (!Number.isSafeInteger(ms)) throw wrong(text, 'is too long', expected);
  return ms;
}

/**
 * "HOST:PORT", with an IPv6 host in brackets: "127.0.0.1:7400", "tracker.lan:7400", "[::1]:7400".
 *
 * @param options.allowPortZero for an address to listen on, where 0 means any free port
 */
export function parseAddress(text: string, options: { readonly allowPortZero?: boolean } = {}): Address {
  const expected = 'HOST:PORT, such as 127.0.0.1:7400';
  const match = /^(?:\[([0-9a-f:.]+(?:%\w+)?)\]|([^\s:/[\]]+)):(\d+)$/i.exec(text.trim());
  if (match === null) {
    if (/^[a-z]+:\/\//i.test(text)) throw wrong(text, 'is a URL', expected);
    if (/^[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*$/i.test(text)) {
      throw wrong(text, 'has an IPv6 host without brackets', 'it as [::1]:7400');
    }
    if (!text.includes(':')) throw wrong(text, 'has no port', expected);
    throw wrong(text, 'is not an address', expected);
  }
  const port = Number(match[3]);
  const lowest = options.allowPortZero === true ? 0 : 1;
  if (port < lowest || port > 65_535) throw wrong(text, `has the port ${port}`, `${lowest} to 65535`);
  return { host: match[1] ?? match[2] ?? '', port };
}

/** One or more addresses with commas between: "a:7400,b:7400". Empty parts are mistakes. */
export function parseAddresses(text: string): Address[] {
  return text.split(',').map((part) => parseAddress(part));
}

/** The text that parseAddress reads as this address. */
export function formatAddress(address: Address): string {
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}
