/**
 * The Logger of real programs, on winston. Logs go to standard error, so that standard output stays what the
 * program was asked for (a JSON line, a file's bytes) and can be piped.
 */
import winston from 'winston';
import type { LogFields, Logger } from '../ports/logger.js';
import { formatHuman, formatJson } from './log-format.js';

export interface LoggerOptions {
  /** The program's name, on every JSON line. */
  readonly program: string;
  /** The least important level that is written. */
  readonly level?: 'debug' | 'info' | 'warn' | 'error';
  /** JSON lines or lines for people; by default for people on a terminal only. */
  readonly json?: boolean | undefined;
  /** Where to write, if not to standard error. */
  readonly stream?: NodeJS.WritableStream;
}

/** For the values of `loggingOptions`: what createLogger's `json` is to be. */
export function jsonOf(logFormat: 'auto' | 'human' | 'json'): boolean | undefined {
  return logFormat === 'auto' ? undefined : logFormat === 'json';
}

/** A logger that writes one line an entry, at once. Never throws, whatever the fields hold. */
export function createLogger({ program, level = 'info', json, stream }: LoggerOptions): Logger {
  const target = stream ?? process.stderr;
  const isTerminal = 'isTTY' in target && target.isTTY === true;
  // https://no-color.org: any value but an empty one.
  const colour = isTerminal && (process.env['NO_COLOR'] ?? '') === '';
  const asJson = json ?? !isTerminal;
  const render = winston.format.printf((info) => {
    const fields = (info['fields'] ?? {}) as LogFields;
    const entry = { time: new Date(), level: info.level, program, message: String(info.message), fields };
    return asJson ? formatJson(entry) : formatHuman(entry, { colour });
  });
  const logger = winston.createLogger({
    level,
    format: render,
    // What ends the program is the life cycle's to decide, not the log's.
    exitOnError: false,
    transports: [new winston.transports.Stream({ stream: target, eol: '\n' })],
  });
  return withFields(logger, {});
}

function withFields(logger: winston.Logger, inherited: LogFields): Logger {
  const write = (level: string) => (message: string, fields?: LogFields) => {
    if (logger.isLevelEnabled(level)) logger.log({ level, message, fields: { ...inherited, ...fields } });
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => withFields(logger, { ...inherited, ...fields }),
  };
}
