// A service and a login while things break: of the service never two instances run at one time, and it comes back; a login that loses
// what it runs in ends with one line, and the next one works.
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startVkctl, VKCTL } from '../cluster/command.ts';
import { buildGuest } from '../guests/build.ts';

const SERVICE = 'chaos';
const LOOK_MS = 250;
/** As long as a client waits for who does not answer, and twice that. */
const END_MS = 90_000;

export class People {
  /** How logins ended, and how often. */
  readonly ends = new Map<string, number>();
  /** What must not be. */
  readonly wrong: string[] = [];
  private readonly env: NodeJS.ProcessEnv;
  private readonly beats: string;
  private logins = 0;

  private constructor(cluster: string, folder: string) {
    this.env = { ...process.env, ODONATA_CLUSTER: cluster, NO_COLOR: '1' };
    this.beats = join(folder, 'beats');
  }

  /** @param folder one that programs may have */
  static async create(cluster: string, folder: string): Promise<People> {
    const people = new People(cluster, folder);
    mkdirSync(folder, { recursive: true });
    copyFileSync(await buildGuest('beat'), join(folder, 'beat.wasm'));
    const service = {
      ...{ name: SERVICE, program: './beat.wasm', command: ['/data/beats'], volumes: [`${folder}:/data`] },
      ...{ restart: 'always:100000', restart_delay: '100ms', restart_max_delay: '1s' },
    };
    writeFileSync(join(folder, 'service.yaml'), JSON.stringify(service));
    const { code, stderr } = await people.vkctl('apply', '-f', join(folder, 'service.yaml'));
    if (code !== 0) throw new Error(`the service was not applied: ${stderr}`);
    return people;
  }

  private vkctl(...words: string[]) {
    return startVkctl(words, { env: this.env, timeoutMs: END_MS }).ended;
  }

  /** One login after another, each until what it is in breaks. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.logins++;
      const login = spawn(process.execPath, [VKCTL, 'login', '@', 'echo in; read line; exit 0'], {
        env: this.env,
      });
      const end = await this.endOf(login, signal);
      this.ends.set(end, (this.ends.get(end) ?? 0) + 1);
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  private async endOf(login: ChildProcess, signal: AbortSignal): Promise<string> {
    let said = '';
    login.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    login.stdin!.on('error', () => {});
    const over = new Promise<number | null>((resolve) => void login.once('exit', (code) => resolve(code)));
    // What nothing broke ends by what is typed.
    const typed = () => void login.stdin!.end('\n');
    signal.addEventListener('abort', typed, { once: true });
    if (signal.aborted) typed();
    const late = new Promise<'late'>((resolve) => {
      const look = () => resolve('late');
      const timer = setTimeout(() => (signal.aborted ? look() : timer.refresh()), END_MS);
      void over.then(() => clearTimeout(timer));
    });
    const code = await Promise.race([over, late]);
    signal.removeEventListener('abort', typed);
    if (code === 'late') {
      login.kill('SIGKILL');
      this.wrong.push(
        `login ${this.logins} did not end within ${END_MS / 1000} s after all was over: ${said}`,
      );
      return 'hung';
    }
    const lines = said.split('\n').filter((line) => line !== '');
    if (code !== 0 && lines.length !== 1)
      this.wrong.push(
        `login ${this.logins} ended with ${code} and ${lines.length} lines: ${JSON.stringify(said)}`,
      );
    return code === 0 ? 'well' : (lines[0] ?? `exit code ${code}`).replaceAll(/\d+/g, 'N').slice(0, 120);
  }

  /** Once nothing is broken any more: the service runs, and a login works. @returns what does not */
  async prove(withinMs: number): Promise<string[]> {
    const endMs = performance.now() + withinMs;
    const hello = async () => {
      const { stdout, stderr } = await this.vkctl('login', '@', 'echo hello');
      return stdout === 'hello\n' ? undefined : `a login says ${JSON.stringify(stdout + stderr)}`;
    };
    const runs = async () => {
      const before = this.lives().length === 0 ? 0 : this.lives().at(-1)!.endedMs;
      await sleep(2 * LOOK_MS);
      return (this.lives().at(-1)?.endedMs ?? 0) > before ? undefined : 'the service does not run';
    };
    const troubles = await Promise.all(
      [hello, runs].map(async (prove) => {
        for (;;) {
          const trouble = await prove();
          if (trouble === undefined || performance.now() > endMs) return trouble;
          await sleep(LOOK_MS);
        }
      }),
    );
    const lives = this.lives();
    for (const [at, life] of lives.slice(1).entries())
      if (life.beganMs < lives[at]!.endedMs)
        this.wrong.push(`two instances ran at one time: ${JSON.stringify([lives[at], life])}`);
    return troubles.filter((trouble) => trouble !== undefined);
  }

  /** Of each instance that ran, when it was seen first and last. */
  private lives(): { id: string; beganMs: number; endedMs: number }[] {
    let text = '';
    try {
      text = readFileSync(this.beats, 'utf8');
    } catch {
      // None has begun.
    }
    const lives = new Map<string, { id: string; beganMs: number; endedMs: number }>();
    for (const line of text.split('\n').slice(0, -1)) {
      const [id = '', time = ''] = line.split(' ');
      const life = lives.get(id) ?? { id, beganMs: Number(time), endedMs: 0 };
      life.endedMs = Number(time);
      lives.set(id, life);
    }
    return [...lives.values()].sort((a, b) => a.beganMs - b.beganMs);
  }
}
