// What a log is, and one that nobody reads. Apart from those that are written (log.ts), for what starts often and writes none.
import type { LogFn } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Logger extends Record<LogLevel, LogFn> {
  child(bindings: object): Logger;
  isLevelEnabled(level: LogLevel): boolean;
}

const nothing: LogFn = () => {};
const SILENT: Logger = {
  ...{ trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing, fatal: nothing },
  silent: nothing,
  child: () => SILENT,
  isLevelEnabled: (level) => level === 'silent',
};

/** For tests, and for tools that print for people. */
export const silentLog = (): Logger => ({ ...SILENT });
