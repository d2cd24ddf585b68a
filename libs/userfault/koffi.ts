// koffi, once somebody calls by it: to load it is a fourth of what the start of a guest's thread costs, and few programs need it there.
import { createRequire } from 'node:module';

type Koffi = typeof import('koffi');

let loaded: { readonly koffi: Koffi; readonly libc: ReturnType<Koffi['load']> } | undefined;

function load() {
  if (loaded === undefined) {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    loaded = { koffi, libc: koffi.load('libc.so.6') };
  }
  return loaded;
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
