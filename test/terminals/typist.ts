// Someone at a terminal that runs vkctl: a real one, which script(1) of every Debian makes.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../cluster/cluster.ts';

const VKCTL = join(import.meta.dirname, '../../vkctl');
const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

export class Typist {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  readonly #folder = mkdtempSync(join(tmpdir(), 'odonata-typist-'));
  readonly #about = join(this.#folder, 'about');
  #settings = '';
  shown = '';

  /** @param rows of the terminal; @param columns of it */
  constructor(args: readonly string[], env: NodeJS.ProcessEnv, rows = 30, columns = 100) {
    const say = `echo "tty $(tty) $$" >${quoted(this.#about)}`;
    const vkctl = [VKCTL, ...args].map(quoted).join(' ');
    const command = `stty rows ${rows} columns ${columns}; ${say}; ${vkctl}; code=$?; stty -a >>${quoted(this.#about)}; exit $code`;
    this.#child = spawn('script', ['-qefc', command, '/dev/null'], {
      env: { ...env, SHELL: '/bin/sh' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout!.on('data', (data: Buffer) => {
      this.shown += data.toString();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        if (existsSync(this.#about)) this.#settings = readFileSync(this.#about, 'utf8').replaceAll('\n', ' ');
        rmSync(this.#folder, { recursive: true, force: true });
        resolve(code ?? -1);
      });
    });
  }

  async type(text: string): Promise<void> {
    await new Promise((resolve) => this.#child.stdin!.write(text, resolve));
  }

  async shows(what: string | RegExp, withinMs = 15_000): Promise<void> {
    const is = (): boolean => (typeof what === 'string' ? this.shown.includes(what) : what.test(this.shown));
    try {
      await until(`it shows ${what}`, is, withinMs);
    } catch (error) {
      throw new Error(`${error}, but: ${JSON.stringify(this.shown)}`);
    }
  }

  /** Of the terminal: its device, and the shell that vkctl is a child of. */
  #place(): { device: string; shell: string } {
    const [, device = '', shell = ''] = /^tty (\S+) (\d+)/.exec(readFileSync(this.#about, 'utf8')) ?? [];
    return { device, shell };
  }

  /** vkctl listens to keys. */
  async untilRaw(): Promise<void> {
    await until(
      'it is raw',
      () => {
        if (!existsSync(this.#about)) return false;
        const { device } = this.#place();
        return device !== '' && execFileSync('stty', ['-F', device, '-a']).toString().includes('-icanon');
      },
      15_000,
    );
  }

  /** As a window does that is drawn larger. */
  resize(rows: number, columns: number): void {
    execFileSync('stty', ['-F', this.#place().device, 'rows', String(rows), 'columns', String(columns)]);
  }

  /** vkctl alone: what it runs at goes on. */
  killVkctl(): void {
    execFileSync('sh', ['-c', `kill -9 $(cat /proc/${this.#place().shell}/task/*/children)`]);
  }

  /** Nothing that is shown is taken any more. */
  pause(): void {
    this.#child.stdout!.pause();
  }

  /** Of the terminal, after the end. */
  settings(): string {
    return this.#settings;
  }

  /** Its exit code. */
  end(): Promise<number> {
    return this.#ended;
  }

  lines(): string[] {
    return this.shown.split(/\r?\n/).filter((line) => line !== '');
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
