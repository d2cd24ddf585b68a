// The C library by koffi. Its functions are looked for by their first call: few programs need them, and each costs time.
import koffiModule from 'koffi';

type Koffi = typeof koffiModule;

let libc: ReturnType<Koffi['load']> | undefined;

export const koffi = (): Koffi => koffiModule;

/** A function of the C library, looked for by its first call. */
// biome-ignore lint/suspicious/noExplicitAny: as koffi has it
export function libcFunction(signature: string): (...args: any[]) => any {
  // biome-ignore lint/suspicious/noExplicitAny: as koffi has it
  let found: ((...args: any[]) => any) | undefined;
  return (...args) => {
    libc ??= koffiModule.load('libc.so.6');
    found ??= libc.func(signature);
    return found(...args);
  };
}
