// A machine somewhere on the internet: a network of its own, in which one address leads to the router of a cluster and nothing
// else is there. The way out is a unix socket, which networks do not part.
import { spawnSync } from 'node:child_process';
import { connect, createServer, type Server } from 'node:net';
import { startCommand, VKCTL } from '../cluster/command.ts';

export const PORT = 7411;

/** Why it cannot be had here; undefined: it can. */
export function whyNoNetwork(): string | undefined {
  const tried = spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  return tried.status === 0
    ? undefined
    : `no network of its own can be made: ${tried.stderr || tried.error?.message}`;
}

/** In there, before the command: what comes to the one address goes out by the socket. */
const INSIDE = `
import { connect, createServer } from 'node:net';
import { spawn } from 'node:child_process';
const [socket, port, ...command] = process.argv.slice(1);
const server = createServer((near) => {
  const far = connect(socket);
  near.pipe(far).pipe(near);
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
}).listen(Number(port), '127.0.0.1', () => {
  const child = spawn(process.execPath, command, { stdio: 'inherit' });
  child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
});
`;

export class OneAddress {
  readonly #socket: string;
  readonly #server: Server;
  readonly #env: NodeJS.ProcessEnv;

  /** @param router of the cluster, host and port */
  constructor(socket: string, router: { host: string; port: number }, env: NodeJS.ProcessEnv) {
    this.#socket = socket;
    this.#env = env;
    this.#server = createServer((near) => {
      const far = connect(router);
      near.pipe(far).pipe(near);
      near.on('error', () => far.destroy());
      far.on('error', () => near.destroy());
    }).listen(socket);
  }

  async vkctl(args: string[], stdin = '') {
    const inside = [
      'sh',
      '-c',
      'ip link set lo up && exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      INSIDE,
    ];
    const command = [...inside, this.#socket, String(PORT), VKCTL, ...args];
    return await startCommand(['unshare', '-rn', ...command], { env: this.#env, stdin, timeoutMs: 60_000 })
      .ended;
  }

  close(): void {
    this.#server.close();
  }
}
