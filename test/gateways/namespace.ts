// A machine of its own on a bad line: a network namespace, whose whole cluster reaches others over that line alone.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Command, type CommandEnd, startCommand, VKCTL } from '../cluster/command.ts';
import { findCompiler, run } from '../guests/toolchain.ts';

/** Why there are no namespaces with devices here, if so. */
export function whyNoNamespaces(): string | undefined {
  if (process.getuid?.() !== 0) return 'namespaces of the network take root';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  try {
    execFileSync('unshare', ['-n', 'nsenter', '--version'], { stdio: 'ignore' });
  } catch {
    return 'unshare -n is refused here';
  }
  return;
}

export class Namespace {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #keeper: ChildProcess;

  /** @param home of its clusters */
  constructor(name: string, home: string) {
    this.name = name;
    this.env = { ...process.env, NO_COLOR: '1', ODONATA_HOME: home, ODONATA_CLUSTER: name };
    this.#keeper = spawn('unshare', ['-n', 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
  }

  get pid(): number {
    return this.#keeper.pid!;
  }

  async begun(): Promise<void> {
    this.#keeper.stdin!.write('\n');
    await once(this.#keeper.stdout!, 'data');
  }

  start(args: string[], timeoutMs = 60_000): Command {
    const inside = ['nsenter', `--net=/proc/${this.pid}/ns/net`, process.execPath, VKCTL, ...args];
    return startCommand(inside, { env: this.env, timeoutMs });
  }

  vkctl(...args: string[]): Promise<CommandEnd> {
    return this.start(args).ended;
  }

  /** What it printed. @throws Error where it did not end with 0 */
  async done(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.vkctl(...args);
    if (code !== 0) throw new Error(`vkctl ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** What is in it goes on until its own end. */
  end(): void {
    this.#keeper.stdin!.end();
  }
}

/** Both ends of a line. */
export interface Ends {
  from: Namespace;
  /** Of `from` on this line. */
  address: string;
  to: Namespace;
  toAddress: string;
}

export interface LineQuality {
  /** Each way. */
  delayMs: number;
  lostPercent: number;
}

/** What carries packets from one namespace to another (testdata/line.c). */
export class Line {
  readonly #carrier: ChildProcess;

  private constructor(carrier: ChildProcess) {
    this.#carrier = carrier;
  }

  /** Its program. @param folder where it is put */
  static async build(folder: string): Promise<string> {
    const { command } = await findCompiler();
    const source = join(import.meta.dirname, 'testdata/line.c');
    const built = await run(command, ['-O2', '-Wall', '-Wextra', '-o', join(folder, 'line'), source], folder);
    if (built.code !== 0) throw new Error(built.output);
    return join(folder, 'line');
  }

  static async open(
    program: string,
    { from, address, to, toAddress }: Ends,
    { delayMs, lostPercent }: LineQuality,
  ): Promise<Line> {
    const ends = [`${from.pid}`, address, `${to.pid}`, toAddress];
    const quality = [`${delayMs}`, `${Math.round(lostPercent * 100)}`];
    const carrier = spawn(program, [...ends, ...quality], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(carrier.stdout!), 'line');
    if (line !== 'up') throw new Error(`a line that is ${line}`);
    return new Line(carrier);
  }

  /** No packet comes through, and nobody is told. */
  cut(): void {
    this.#carrier.kill('SIGUSR1');
  }

  heal(): void {
    this.#carrier.kill('SIGUSR2');
  }

  close(): void {
    this.#carrier.stdin!.end();
  }
}
