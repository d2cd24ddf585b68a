// A small process beside the supervisor that does nothing but wait for its end. When the supervisor is gone
// without having said good-bye (kill -9, out of memory), the janitor clears what it left.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bundled } from '@odonata/rpc/bundle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import { unmarkedEnv } from '../cluster/supervisors.ts';

/** Said on the pipe before a clean end. */
export const GOOD_BYE = 'good-bye\n';

export class Janitor {
  readonly #paths: ClusterPaths;
  readonly #keepStore: boolean;
  readonly #log: Logger;
  #child: ChildProcess | undefined;

  constructor(paths: ClusterPaths, keepStore: boolean, log: Logger) {
    this.#paths = paths;
    this.#keepStore = keepStore;
    this.#log = log;
  }

  start(): void {
    const main = bundled(fileURLToPath(new URL('./janitor-main.ts', import.meta.url)));
    // In a session of its own: what ends the supervisor's group must not end it.
    const about = JSON.stringify({ paths: this.#paths, keepStore: this.#keepStore });
    const child = spawn(process.execPath, [main, about], {
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
      cwd: '/',
      env: unmarkedEnv(),
    });
    child.once('exit', (code, signal) => {
      if (this.#child)
        this.#log.warn({ code, signal }, 'janitor ended: a killed supervisor would leave files');
    });
    child.once('error', (error) => this.#log.warn({ error: error.message }, 'no janitor'));
    child.stdin.on('error', (error) => this.#log.warn({ error: error.message }, 'janitor does not listen'));
    child.unref();
    this.#child = child;
  }

  dismiss(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.stdin?.end(GOOD_BYE);
  }
}
