import { pino } from 'pino';
import type { Logger, LogLevel } from './silent-log.ts';

export { LOG_LEVELS, type Logger, type LogLevel, silentLog } from './silent-log.ts';

/** Of lines that could not be written; later ones are dropped. */
const LATE_BYTES = 1 << 20;

/**
 * A log of JSON lines on standard error. Written at once: the last line before a crash is the one that matters.
 * @param fd another file for it
 */
export function createLog(name: string, level: LogLevel = 'info', fd = 2): Logger {
  const destination = pino.destination({ fd, sync: true, maxLength: LATE_BYTES });
  // A full disk ends no service: what cannot be written waits for room, up to a limit.
  destination.on('error', () => {});
  return pino(
    {
      name,
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err },
    },
    destination,
  );
}
