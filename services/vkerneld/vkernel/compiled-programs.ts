// What V8 made of programs, for the next start of the same one: nothing is read and compiled again, and what was optimised stays so.
import { hash } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { PreparedGuest, PrepareGuest, RunCompiled } from './kernel-call.ts';
import { TypesSeen } from './wasm/types-seen.ts';

/** Code takes some multiple of the bytes that it is made from; what its memory begins with is there once. Two of 64 MiB are kept. */
export const BYTES_MAX = 144 << 20;
const PROGRAMS_MAX = 64;
/** Nothing starts any more: memory is better than speed then. */
const UNUSED_MS = 60_000;
/** A start by digest follows the look within this. */
const PROMISED_MS = 30_000;
const PROMISED_MAX = 256;

export interface CompiledProgram {
  readonly module: WebAssembly.Module;
  readonly needs: PreparedGuest;
  /** Where something may be made of it again: children, snapshots. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined;
}

/** What is made of a program depends on the quota of its process, too. */
export const programKey = (module: Uint8Array, quotaBytes: number): string =>
  keyOfDigest(hash('sha256', module, 'buffer'), quotaBytes);

const keyOfDigest = (sha256: Uint8Array, quotaBytes: number): string =>
  `${Buffer.from(sha256).toString('base64')} ${quotaBytes}`;

export class CompiledPrograms {
  /** The one that was used last is the last. */
  readonly #kept = new Map<string, { readonly program: CompiledProgram; readonly size: number }>();
  #bytes = 0;
  #forget: NodeJS.Timeout | undefined;

  find(key: string): CompiledProgram | undefined {
    const found = this.#kept.get(key);
    if (found === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, found);
    this.#used();
    return found.program;
  }

  /** @param size what it takes, as far as that is known: bytes of the module that it was made from */
  keep(key: string, program: CompiledProgram, size: number): void {
    if (size > BYTES_MAX || this.#kept.has(key)) return;
    this.#kept.set(key, { program, size });
    this.#bytes += size;
    for (const [oldest, { size: its }] of this.#kept) {
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
/** For starts that were announced: by key, until when. */
const promised = new Map<string, { readonly program: CompiledProgram; readonly untilMs: number }>();

/** Whether a program is there, by the digest of its module: if so, it still is at the start that follows. */
export function promiseProgram(sha256: Uint8Array, quotaBytes: number): boolean {
  const key = keyOfDigest(sha256, quotaBytes);
  const program = compiledPrograms.find(key);
  const nowMs = performance.now();
  for (const [old, { untilMs }] of promised) if (untilMs < nowMs) promised.delete(old);
  if (program === undefined || promised.size >= PROMISED_MAX) return false;
  promised.set(key, { program, untilMs: nowMs + PROMISED_MS });
  return true;
}

/** Undefined: it was not promised, or too long ago. */
export function promisedProgram(sha256: Uint8Array, quotaBytes: number): CompiledProgram | undefined {
  const key = keyOfDigest(sha256, quotaBytes);
  return compiledPrograms.find(key) ?? promised.get(key)?.program;
}

export interface ToPrepare {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly quotaBytes: number;
  /** It is there already, and the module is empty. */
  readonly compiled?: CompiledProgram | undefined;
}

/**
 * Has a thread ready to run a program, and says what that needs.
 * @param answer what the thread compiled; undefined: its process was ended meanwhile, and so is this
 */
export async function prepareProgram(
  { worker }: { readonly worker: Worker | undefined },
  { module, quotaBytes, compiled }: ToPrepare,
  answer: Promise<CompiledProgram | undefined>,
): Promise<CompiledProgram | undefined> {
  // What is too large to be kept is not looked for: its digest alone would take time at each start.
  const key =
    compiled === undefined && module.length <= BYTES_MAX ? programKey(module, quotaBytes) : undefined;
  const kept = compiled ?? (key === undefined ? undefined : compiledPrograms.find(key));
  if (kept !== undefined) {
    const order: RunCompiled = { compiled: kept.module };
    worker?.postMessage(order);
    return kept;
  }
  const order: PrepareGuest = { module, quotaBytes, typesSeen };
  worker?.postMessage(order);
  const made = await answer;
  if (made === undefined) return undefined;
  const { spawns, snapshot, image } = made.needs;
  // Its processes have it in common.
  const again = spawns || snapshot !== undefined;
  const program = again ? { ...made, bytes: module } : made;
  const size = Math.max(module.length, image?.bytes.length ?? 0) + (again ? module.length : 0);
  if (key !== undefined) compiledPrograms.keep(key, program, size);
  return program;
}
