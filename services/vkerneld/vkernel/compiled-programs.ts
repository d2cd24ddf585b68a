// What V8 made of programs, for the next start of the same one: nothing is read and compiled again, and what was optimised stays so.
import { hash } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { PreparedGuest, PrepareGuest, RunCompiled } from './kernel-call.ts';
import { TypesSeen } from './wasm/types-seen.ts';

/** Code takes some multiple of the bytes that it is made from. */
const BYTES_MAX = 32 << 20;
const PROGRAMS_MAX = 64;
/** Nothing starts any more: memory is better than speed then. */
const UNUSED_MS = 60_000;

export interface CompiledProgram {
  readonly module: WebAssembly.Module;
  readonly needs: PreparedGuest;
}

/** What is made of a program depends on the quota of its process, too. */
export const programKey = (module: Uint8Array, quotaBytes: number): string =>
  `${hash('sha256', module, 'base64')} ${quotaBytes}`;

export class CompiledPrograms {
  /** The one that was used last is the last. */
  readonly #kept = new Map<string, CompiledProgram & { readonly bytes: number }>();
  #bytes = 0;
  #forget: NodeJS.Timeout | undefined;

  find(key: string): CompiledProgram | undefined {
    const found = this.#kept.get(key);
    if (found === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, found);
    this.#used();
    return found;
  }

  /** @param bytes of the module that it was made from */
  keep(key: string, program: CompiledProgram, bytes: number): void {
    if (bytes > BYTES_MAX || this.#kept.has(key)) return;
    this.#kept.set(key, { ...program, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: its }] of this.#kept) {
      if (this.#bytes <= BYTES_MAX && this.#kept.size <= PROGRAMS_MAX) break;
      this.#kept.delete(oldest);
      this.#bytes -= its;
    }
    this.#used();
  }

  #used(): void {
    if (this.#forget !== undefined) {
      this.#forget.refresh();
      return;
    }
    const forget = ownTurn({ timer: 'compiled programs' }, () => {
      this.#forget = undefined;
      this.#kept.clear();
      this.#bytes = 0;
    });
    this.#forget = setTimeout(forget, UNUSED_MS).unref();
  }
}

const typesSeen = TypesSeen.memory();
const compiledPrograms = new CompiledPrograms();

/**
 * Has a thread ready to run a program, and says what that needs.
 * @param answer what the thread compiled; undefined: its process was ended meanwhile, and so is this
 */
export async function prepareProgram(
  { worker }: { readonly worker: Worker | undefined },
  { module, quotaBytes }: { readonly module: Uint8Array<ArrayBuffer>; readonly quotaBytes: number },
  answer: Promise<CompiledProgram | undefined>,
): Promise<PreparedGuest | undefined> {
  // What is too large to be kept is not looked for: its digest alone would take time at each start.
  const key = module.length <= BYTES_MAX ? programKey(module, quotaBytes) : undefined;
  const kept = key === undefined ? undefined : compiledPrograms.find(key);
  if (kept !== undefined) {
    const order: RunCompiled = { compiled: kept.module };
    worker?.postMessage(order);
    return kept.needs;
  }
  const order: PrepareGuest = { module, quotaBytes, typesSeen };
  worker?.postMessage(order);
  const made = await answer;
  const bytes = module.length + (made?.needs.image?.bytes.length ?? 0);
  if (made !== undefined && key !== undefined) compiledPrograms.keep(key, made, bytes);
  return made?.needs;
}
