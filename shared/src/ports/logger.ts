/** Logging as a port: structured, leveled, and free to be silent. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  /** For developers; off by default. */
  debug(message: string, fields?: LogFields): void;
  /** Normal events an operator may want to see. */
  info(message: string, fields?: LogFields): void;
  /** Something is wrong and Holdfast copes. */
  warn(message: string, fields?: LogFields): void;
  /** Something is wrong and a person should look. */
  error(message: string, fields?: LogFields): void;
  /** A logger whose every line carries `fields` too. */
  child(fields: LogFields): Logger;
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};
