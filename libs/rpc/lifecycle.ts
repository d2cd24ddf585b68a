import { ListenError } from './address.ts';
import { delay } from './backoff.ts';
import { useBugLog } from './bug.ts';
import type { Logger } from './log.ts';
import { giveBackAtRest } from './rest.ts';
import { endTracing } from './trace/own.ts';

/** Exit code for a bug: EX_SOFTWARE of sysexits.h. */
export const EXIT_SOFTWARE = 70;
/** For settings that cannot be used, as for those that cannot be read. */
export const EXIT_USAGE = 2;

/** How long a stop may take, beside the time that a service takes to hand its work over. */
export const STOP_MS = 8_000;

/** How long a start that is under way may go on then: it may be just about done, or wait for NATS for ever. */
const STARTING_MS = 2_000;

/** How a service is to stop. */
export interface StopHow {
  /** SIGINT: nothing of what it has or does is worth waiting for. SIGTERM: it hands over what it can. */
  readonly atOnce: boolean;
}

export interface ServiceOptions {
  readonly name: string;
  readonly log: Logger;
  /** Starts the service; resolves with what stops it. `stopping` aborts on the first SIGTERM or SIGINT. */
  readonly start: (stopping: AbortSignal) => Promise<(how: StopHow) => Promise<void>>;
  /** The whole stop may take so long; `STOP_MS` unless told otherwise. */
  readonly stopMs?: number;
  /** What stops beside it, also where it has not started yet. */
  readonly beside?: (how: StopHow) => Promise<void>;
  /** Of a thread, which hears no signals: gets what stops the service. */
  readonly onStopper?: (stop: (signal: 'SIGTERM' | 'SIGINT') => void) => void;
}

/** A setting that this machine cannot do, known only at the start: one line, and the exit code of wrong usage. */
export class SettingError extends Error {}

/**
 * Runs a service as this process: starts it, stops it once on SIGTERM, or at once on SIGINT, within a deadline, and exits 0. A
 * failed start, an uncaught exception and an unhandled rejection end the process with one fatal line and code 70; an
 * address that cannot be listened on with 2, as every setting that cannot be used.
 */
export function runService(options: ServiceOptions): void {
  const { name, log, start } = options;
  const stopMs = options.stopMs ?? STOP_MS;
  useBugLog(log);
  const stopping = new AbortController();
  const die = (what: string) => (error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    log.fatal({ err: error, what }, `${name} ends: ${what}: ${reason}`);
    process.exit(EXIT_SOFTWARE);
  };
  process.on('uncaughtException', die('uncaught exception'));
  process.on('unhandledRejection', die('unhandled rejection'));
  const stop = async (signal: string) => {
    if (stopping.signal.aborted) return; // a second signal changes nothing: the deadline runs
    log.info({ signal }, `${name} stops`);
    setTimeout(() => {
      log.warn({ stopMs }, `${name} did not stop in time`);
      process.exit(0);
    }, stopMs);
    stopping.abort();
    try {
      const how = { atOnce: signal === 'SIGINT' };
      const beside = options.beside?.(how);
      const late = delay(Math.min(STARTING_MS, stopMs / 2));
      const stopService = await Promise.race([started, late]);
      if (stopService) await stopService(how);
      else log.info(`${name} had not started yet`);
      await beside;
      await endTracing();
    } catch (error) {
      log.warn({ err: error }, `${name} did not stop cleanly`);
    }
    process.exit(0);
  };
  giveBackAtRest();
  if (options.onStopper === undefined) {
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  } else options.onStopper((signal) => void stop(signal));
  const started = start(stopping.signal);
  started.then(
    () => log.info({ pid: process.pid }, `${name} is up`),
    (error) => {
      if (stopping.signal.aborted) return;
      if (!(error instanceof ListenError || error instanceof SettingError)) die('cannot start')(error);
      log.fatal(`${name}: ${error.message}`);
      process.exit(EXIT_USAGE);
    },
  );
}
