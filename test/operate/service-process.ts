// A service as an operator runs it: a process with flags and an environment, whose log is JSON lines.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';

export const SERVICES = ['cohd', 'pmapd', 'syslinkd', 'vkerneld'] as const;
export type ServiceName = (typeof SERVICES)[number];
export type LogLine = Record<string, unknown> & { msg?: string };

const ROOT = join(import.meta.dirname, '../..');

export class ServiceProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stderr = '';

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(command, args, {
      cwd: ROOT,
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
  }

  /** @param uid of another user, where we are root */
  static service(
    name: ServiceName,
    args: readonly string[],
    env?: NodeJS.ProcessEnv,
    uid?: number,
  ): ServiceProcess {
    const command = [process.execPath, `services/${name}/main.ts`, ...args];
    if (uid !== undefined)
      command.unshift('/usr/bin/setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--');
    return new ServiceProcess(command[0]!, command.slice(1), env);
  }

  static nats(port: number, storeDir: string, more: readonly string[] = []): ServiceProcess {
    const command = findTool('nats-server');
    if (command === undefined) throw new Error('nats-server is not installed; run: make setup');
    return new ServiceProcess(command, ['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', storeDir, ...more]);
  }

  /** Lines of its log so far. */
  log(): LogLine[] {
    return this.stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** The first line with this message, now or later. */
  async line(msg: string, withinMs = 60_000): Promise<LogLine> {
    return await until(
      `"${msg}" in the log`,
      withinMs,
      () => this.log().find((line) => line.msg === msg),
      this,
    );
  }

  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    const kill = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
    const code = await this.ended;
    clearTimeout(kill);
    return code;
  }
}

/** Polls until there is a value. @throws Error that names what did not come, with the log of the service. */
export async function until<T>(
  what: string,
  withinMs: number,
  look: () => T | undefined | Promise<T | undefined>,
  of?: ServiceProcess,
): Promise<T> {
  const endMs = performance.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    const gone = of !== undefined && of.child.exitCode !== null;
    if (gone || performance.now() > endMs)
      throw new Error(`${gone ? 'it ended without' : `${withinMs} ms without`} ${what}\n${of?.stderr ?? ''}`);
    await sleep(30);
  }
}
