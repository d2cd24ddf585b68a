// The C library by koffi. Its functions are looked for by their first call: few programs need them, and each costs time.
import koffi from 'koffi';

let libc: ReturnType<typeof koffi.load> | undefined;

/** A function of the C library, looked for by its first call. */
// biome-ignore lint/suspicious/noExplicitAny: as koffi has it
export function libcFunction(signature: string): (...args: any[]) => any {
  // biome-ignore lint/suspicious/noExplicitAny: as koffi has it
  let found: ((...args: any[]) => any) | undefined;
  return (...args) => {
    libc ??= koffi.load('libc.so.6');
    found ??= libc.func(signature);
    return found(...args);
  };
}
