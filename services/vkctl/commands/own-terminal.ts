// The terminal that vkctl runs at, while it is a program's: raw, its size followed, and as it was before at whatever end.
import { spawnSync } from 'node:child_process';
import type { TerminalSize } from '@odonata/client/program-run.ts';
import { EXIT, Failure } from '../failure.ts';

/** As docker has them. */
export const DETACH_KEYS = 'ctrl-p,ctrl-q';
const KEYS_MAX = 16;
/** Where there is no terminal to ask. */
const SIZE: TerminalSize = { rows: 24, columns: 80 };

/** @throws Failure where they are none */
export function keysOf(text: string): Uint8Array {
  const names = text === '' ? [] : text.split(',');
  const keys = names.map((name) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(name)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    return /^[\x21-\x7e]$/.test(name) ? name.charCodeAt(0) : undefined;
  });
  if (keys.length > KEYS_MAX || keys.includes(undefined))
    throw new Failure(`--detach-keys: "${text}" are no keys`, {
      fix: 'Write characters and ctrl-a to ctrl-z, with commas between them, as ctrl-p,ctrl-q; or "" for none.',
      exitCode: EXIT.usage,
    });
  return Uint8Array.from(keys as number[]);
}

/** What is typed, without the keys that detach: those are kept back until it is clear that they are not all of them. */
export class DetachKeys {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** @returns what is to go on; `detach`: nothing more does */
  typed(bytes: Uint8Array): { data: Uint8Array; detach: boolean } {
    if (this.#keys.length === 0) return { data: bytes, detach: false };
    const data: number[] = [];
    for (const byte of bytes) {
      if (byte !== this.#keys[this.#matched]) {
        data.push(...this.#keys.subarray(0, this.#matched));
        this.#matched = 0;
      }
      if (byte !== this.#keys[this.#matched]) data.push(byte);
      else if (++this.#matched === this.#keys.length) return { data: Uint8Array.from(data), detach: true };
    }
    return { data: Uint8Array.from(data), detach: false };
  }
}

export class OwnTerminal {
  readonly #keys: DetachKeys;
  readonly #restore = (): void => this.restore();
  #isRaw = false;
  /** The keys that detach were typed. */
  isDetached = false;
  onDetach: () => void = () => {};

  constructor(keys: Uint8Array) {
    this.#keys = new DetachKeys(keys);
  }

  get size(): TerminalSize {
    const { rows, columns } = process.stdout;
    return process.stdout.isTTY && rows > 0 && columns > 0 ? { rows, columns } : SIZE;
  }

  /** @param resized its size from then on */
  take(resized: (size: TerminalSize) => void): void {
    process.stdout.on('resize', () => resized(this.size));
    if (process.stdin.isTTY !== true) return;
    process.stdin.setRawMode(true);
    // Node leaves it to add a return to each newline, which the terminal there has done, or was told not to do.
    spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
    this.#isRaw = true;
    process.on('exit', this.#restore);
  }

  restore(): void {
    if (!this.#isRaw) return;
    this.#isRaw = false;
    process.off('exit', this.#restore);
    try {
      process.stdin.setRawMode(false);
    } catch {
      // It is gone.
    }
  }

  /** What is typed, until the keys that detach. */
  async *input(): AsyncGenerator<Uint8Array> {
    for await (const chunk of process.stdin) {
      const { data, detach } = this.#keys.typed(chunk as Uint8Array);
      if (data.length > 0) yield data;
      if (!detach) continue;
      this.isDetached = true;
      this.onDetach();
      return;
    }
  }
}
