// A machine of its own, as far as vkctl can tell: a home, a folder of clusters, an address.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandEnd, startVkctl } from '../cluster/command.ts';

/** What a test was started with may mean another cluster. */
const FOREIGN = ['ODONATA_SYSLINK', 'ODONATA_TLS_DIR', 'ODONATA_CONTEXT', 'XDG_RUNTIME_DIR'];

/** An address of a machine that no other test has: number 1 and on. */
export const addressOf = (machine: number): string =>
  `127.${1 + (process.pid % 200)}.${1 + (Math.floor(process.pid / 200) % 250)}.${machine}`;

export class Machine {
  readonly home: string;
  readonly address: string;
  readonly cluster: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor({ folder, cluster, address }: { folder: string; cluster: string; address: string }) {
    this.home = join(folder, cluster);
    this.cluster = cluster;
    this.address = address;
    mkdirSync(this.home, { recursive: true });
    const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1', COLUMNS: '200' };
    for (const name of FOREIGN) delete env[name];
    this.#env = {
      ...env,
      HOME: this.home,
      ODONATA_HOME: join(this.home, 'odonata'),
      ODONATA_CLUSTER: cluster,
    };
  }

  get env(): NodeJS.ProcessEnv {
    return this.#env;
  }

  vkctl(...args: string[]): Promise<CommandEnd> {
    return startVkctl(args, { env: this.#env, timeoutMs: 60_000 }).ended;
  }

  /** What it printed. @throws Error where it did not end with 0 */
  async done(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.vkctl(...args);
    if (code !== 0) throw new Error(`vkctl ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** Its one line of complaint. @throws Error where it did something */
  async refused(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.vkctl(...args);
    if (code === 0 || stdout !== '') throw new Error(`vkctl ${args.join(' ')} ended with ${code}: ${stdout}`);
    if (stderr.trimEnd().includes('\n')) throw new Error(`more than a line: ${stderr}`);
    return stderr.trimEnd();
  }

  /** Folders of clusters that are there. */
  left(): string[] {
    try {
      return readdirSync(join(this.home, 'odonata'));
    } catch {
      return [];
    }
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }
}
