// koffi, once somebody calls by it: few programs do, and what it has of its own for each thread is never given back (18 KiB, seen of 3.3.4).
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Koffi = typeof import('koffi').default;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Its folder in a checkout, and the native part in it, which is all that is needed. */
export const NATIVE_FOLDER = join(ROOT, `node_modules/@koromix/koffi-linux-${process.arch}`);
export const NATIVE_FILE = join(NATIVE_FOLDER, `linux_${process.arch}/koffi.node`);

let loaded: { readonly koffi: Koffi; readonly libc: ReturnType<Koffi['load']> } | undefined;

function load() {
  if (loaded === undefined) {
    const koffi = native();
    loaded = { koffi, libc: koffi.load('libc.so.6') };
  }
  return loaded;
}

/** By its file: whoever looks for it by name reads files of packages, which a virtual kernel does not see. */
function native(): Koffi {
  const addon = { exports: {} as Koffi };
  try {
    process.dlopen(addon, NATIVE_FILE);
    return addon.exports;
  } catch {
    // Another place, or another kind of machine.
    return createRequire(import.meta.url)('koffi') as Koffi;
  }
}

export const koffi = (): Koffi => load().koffi;

/** A function of the C library, looked for by its first call. */
// biome-ignore lint/suspicious/noExplicitAny: as koffi has it
export function libcFunction(signature: string): (...args: any[]) => any {
  // biome-ignore lint/suspicious/noExplicitAny: as koffi has it
  let found: ((...args: any[]) => any) | undefined;
  return (...args) => {
    found ??= load().libc.func(signature);
    return found(...args);
  };
}
