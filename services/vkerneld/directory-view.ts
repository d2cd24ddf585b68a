// Allowed directories as a plain user shows them. A descriptor of a directory leads up from there to the root of the mounts that
// it was opened in, whoever has it; and who is not root cannot make a mount of one directory alone. So each allowed directory is
// mounted, alone, in a mount namespace of its own (twice: to write, and to read only), and what is granted is opened there: its
// holder gets up to the allowed directory and no further, and the kernel refuses every write to what is read-only.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { delay } from '@odonata/rpc/backoff.ts';

const TOP = '/odonata-allowed';
const O_PATH = 0o10000000;
const MADE_MS = 5_000;

export class DirectoryView {
  /** The directory in there, O_PATH. */
  readonly fd: number;
  readonly #holder: ChildProcess;

  private constructor(fd: number, holder: ChildProcess) {
    this.fd = fd;
    this.#holder = holder;
  }

  /** @param bwrap its path @param hidden paths below that have nothing in them @throws Error where it cannot be made */
  static async make(
    bwrap: string,
    dir: string,
    { readOnly, hidden }: { readOnly: boolean; hidden: readonly string[] },
  ): Promise<DirectoryView> {
    const namespaces = ['user', 'pid', 'net', 'ipc', 'uts'].map((kind) => `--unshare-${kind}`);
    // It stops before it runs anything, with all mounts made, and ends with our end of the pipe.
    const args = [
      ...[...namespaces, '--cap-drop', 'ALL', readOnly ? '--ro-bind' : '--bind', dir, TOP],
      ...hidden.flatMap((below) => ['--tmpfs', `${TOP}/${below}`, '--remount-ro', `${TOP}/${below}`]),
      ...['--remount-ro', '/', '--info-fd', '3', '--block-fd', '4', '--', '/none'],
    ];
    const holder = spawn(bwrap, args, {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: {},
      cwd: '/',
    });
    const failed = new Promise<never>((_, reject) => {
      holder.once('error', reject);
      holder.once('exit', (code) => reject(new Error(`bubblewrap ended with ${code}`)));
    });
    failed.catch(() => {}); // Told below, where it matters.
    const [info, go] = (holder.stdio as readonly unknown[]).slice(3) as [Readable, Writable];
    go.on('error', () => {});
    try {
      const pid = await Promise.race([pidIn(info), failed]);
      return new DirectoryView(await Promise.race([openTop(pid), failed]), holder);
    } catch (error) {
      go.destroy();
      throw error;
    }
  }

  close(): void {
    closeSync(this.fd);
    (this.#holder.stdio as unknown as Writable[])[4]!.destroy();
  }
}

async function pidIn(info: Readable): Promise<number> {
  let text = '';
  for await (const piece of info) text += String(piece);
  const pid = Number(/"child-pid": (\d+)/.exec(text)?.[1]);
  if (pid > 0) return pid;
  throw new Error('bubblewrap started nothing');
}

/** Once its mounts are made. */
async function openTop(pid: number): Promise<number> {
  const endMs = performance.now() + MADE_MS;
  for (;;) {
    try {
      return openSync(`/proc/${pid}/root${TOP}`, O_PATH | constants.O_DIRECTORY);
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await delay(2);
    }
  }
}
