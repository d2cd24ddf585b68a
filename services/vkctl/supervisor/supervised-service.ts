// One service under supervision: spawned, watched, started again, ended.
//
//   start -> running --ends--> waiting --delay--> running ...
//                    \-- too many short lives --> failed
//   replace, pmapd: running -> its successor runs beside it -> takes its place, and it ends -> running
//   replace, vkerneld: running -> SIGHUP: it leaves its virtual kernels alone, and ends -> waiting -> running
//   rest: running -> SIGTERM, so that it hands over what it can -> stopped -> work -> running
//   stop: running -> SIGINT, since nothing of a cluster that goes down is worth handing over -> (graceMs) -> SIGKILL -> stopped
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { bundled } from '@odonata/rpc/bundle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { makeFolder } from '../cluster/folder.ts';
import { identify } from '../cluster/identity.ts';
import type { ServiceRecord } from '../cluster/record.ts';
import { decideRestart, type RestartHistory } from './restart-policy.ts';
import type { ServiceSpec } from './service-spec.ts';

/** A log file larger than this is put aside (one is kept) when its service starts again. */
const LOG_BYTES = 16 * 2 ** 20;

/** How long a successor may take to be in its place; one that hangs is in the way of the next. */
const REPLACE_MS = 45_000;

export interface Surroundings {
  log: Logger;
  env: Record<string, string>;
  /** Put before each command, so that it gets a signal when this process dies: setpriv. Empty: nothing there. */
  wrap: string[];
  /** The record of some service changed. */
  changed: () => void;
}

export class SupervisedService {
  readonly spec: ServiceSpec;
  readonly record: ServiceRecord;
  readonly #around: Surroundings;
  readonly #history: RestartHistory = { shortLives: 0 };
  #child: ChildProcess | undefined;
  /** Runs beside it, and is to take its place. */
  #successor: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended: Promise<void> = Promise.resolve();
  #stopping = false;
  #resting = false;

  constructor(spec: ServiceSpec, around: Surroundings) {
    this.spec = spec;
    this.#around = around;
    this.record = {
      name: spec.name,
      node: spec.node,
      address: spec.address,
      socket: spec.socket,
      state: 'waiting',
      restarts: 0,
      sinceMs: Date.now(),
      logFile: spec.logFile,
    };
  }

  start(): void {
    if (this.#resting) {
      this.#become('stopped');
      return;
    }
    this.#child = this.#spawn([]);
    this.#runs();
  }

  #runs(): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    this.record.process = identify(pid);
    this.#become('running');
    this.#around.log.info({ service: this.spec.name, pid }, 'started');
  }

  /** Has another one of it go on with what it has. @returns false: it does not run */
  replace(): boolean {
    if (this.#child === undefined || this.#stopping || this.#successor !== undefined) return false;
    if (/vkerneld$/.test(this.spec.name)) this.#child.kill('SIGHUP');
    else {
      const successor = this.#spawn(['--take-over']);
      this.#successor = successor;
      const late = setTimeout(() => {
        if (this.#successor === successor) successor.kill('SIGKILL');
      }, REPLACE_MS).unref();
      successor.once('exit', () => clearTimeout(late));
    }
    return true;
  }

  /** Has it hand over what it can, and end until it is to work again. */
  async rest(graceMs: number): Promise<void> {
    if (this.#resting || this.#stopping) return;
    this.#resting = true;
    await this.#endChildren('SIGTERM', graceMs);
  }

  work(): void {
    if (!this.#resting || this.#stopping) return;
    this.#resting = false;
    void this.#ended.then(() => {
      if (!this.#resting && !this.#stopping && this.#child === undefined) this.start();
    });
  }

  /** It reads its configuration again, where it does so. */
  reload(): void {
    this.#child?.kill('SIGHUP');
  }

  /** Has it begin anew. */
  restart(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Starts it where it was given up. @returns false: it was not */
  revive(): boolean {
    if (this.#stopping || this.#resting || this.record.state !== 'failed') return false;
    this.#history.shortLives = 0;
    this.record.restarts += 1;
    this.start();
    return true;
  }

  #spawn(more: string[]): ChildProcess {
    const { log, env, wrap } = this.#around;
    // Asked at each start: one that begins anew runs what the sources are by then.
    const [command, ...args] = [...wrap, this.spec.command, ...this.spec.args.map(bundled), ...more];
    const output = openLog(this.spec.logFile);
    const startedMs = Date.now();
    const child = spawn(command!, args, { stdio: ['ignore', output, output], env, cwd: '/' });
    closeSync(output);
    const ended = new Promise<void>((resolve) => {
      child.once('error', (error) => {
        // Without a pid it never ran, and no exit event comes.
        if (child.pid !== undefined) {
          log.error({ service: this.spec.name, error: error.message }, 'child');
          return;
        }
        this.#end(child, `cannot start: ${error.message}`, startedMs);
        resolve();
      });
      child.once('exit', (code, signal) => {
        this.#end(child, signal ?? `exit ${code}`, startedMs);
        resolve();
      });
    });
    this.#ended = Promise.all([this.#ended, ended]).then(() => {});
    return child;
  }

  #end(child: ChildProcess, how: string, startedMs: number): void {
    const { log } = this.#around;
    if (child === this.#successor) {
      this.#successor = undefined;
      log.error({ service: this.spec.name, how }, 'its successor ended before it took its place');
      this.record.notReplaced = (this.record.notReplaced ?? 0) + 1;
      this.#around.changed();
      return;
    }
    this.#child = undefined;
    this.record.process = undefined;
    this.record.lastEnd = how;
    if (this.#successor !== undefined && !this.#stopping && !this.#resting) {
      this.#child = this.#successor;
      this.#successor = undefined;
      this.record.restarts += 1;
      this.#runs();
      return;
    }
    if (this.#stopping || this.#resting) {
      this.#become('stopped');
      return;
    }
    const decision = decideRestart(this.#history, Date.now() - startedMs, Math.random());
    if (!decision.restart) {
      log.error({ service: this.spec.name, how, logFile: this.spec.logFile }, 'given up');
      this.#become('failed');
      return;
    }
    log.warn({ service: this.spec.name, how, delayMs: decision.delayMs }, 'ended, starts again');
    this.#become('waiting');
    this.#timer = setTimeout(() => {
      this.record.restarts += 1;
      this.start();
    }, decision.delayMs);
  }

  /** Resolves when its process is gone. */
  async stop(graceMs: number, signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    this.#stopping = true;
    await this.#endChildren(signal, graceMs);
  }

  async #endChildren(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    clearTimeout(this.#timer);
    const children = [this.#child, this.#successor].filter((child) => child !== undefined);
    if (this.#child === undefined) this.#become('stopped');
    if (children.length === 0) return;
    for (const child of children) child.kill(signal);
    const kill = setTimeout(() => {
      this.#around.log.warn({ service: this.spec.name, graceMs }, 'did not end in time, killed');
      for (const child of children) child.kill('SIGKILL');
    }, graceMs);
    await this.#ended;
    clearTimeout(kill);
  }

  #become(state: ServiceRecord['state']): void {
    this.record.state = state;
    this.record.sinceMs = Date.now();
    this.#around.changed();
  }
}

function openLog(file: string): number {
  try {
    makeFolder(dirname(file));
    const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
    if (bytes > LOG_BYTES) renameSync(file, `${file}.1`);
    return openSync(file, 'a', 0o600);
  } catch {
    // The folder is gone or its disk is full: the service matters more than its log.
    return openSync('/dev/null', 'a');
  }
}
