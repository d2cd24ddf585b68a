// Sets the times of a file to the nanosecond. node:fs takes them as floating-point seconds, which are some 200 ns
// coarse today, so that a copied time would not equal its original; utimensat(2) is called through koffi instead,
// which is loaded when a program first sets a time.

import { lstatSync, lutimesSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Errno, errnoOfHostCode, WasiError } from './errno.ts';

export interface FileTimes {
  /** Undefined: leave it. */
  readonly atimNs: bigint | undefined;
  readonly mtimNs: bigint | undefined;
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const UTIME_OMIT = (1n << 30n) - 2n;
const nsPerSecond = 1_000_000_000n;

type Utimensat = (directory: number, path: Uint8Array, times: Uint8Array, flags: number) => number;
interface Koffi {
  load(library: string): { func(declaration: string): Utimensat };
  errno(): number;
  os: { errno: Record<string, number> };
}
let libc: { utimensat: Utimensat; koffi: Koffi } | undefined | 'missing';

function loadLibc(): typeof libc {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const utimensat = koffi
      .load('libc.so.6')
      .func('int utimensat(int directory, const uint8_t *path, const uint8_t *times, int flags)');
    return { utimensat, koffi };
  } catch {
    // No koffi for this machine, or another libc: times are a little coarse then.
    return 'missing';
  }
}

/** @param follow true for the path of an open descriptor, which is a link to the file that is meant. */
export function setTimes(path: Buffer, times: FileTimes, follow: boolean): void {
  if (times.atimNs === undefined && times.mtimNs === undefined) return;
  libc ??= loadLibc();
  if (libc === 'missing' || libc === undefined) {
    setTimesCoarsely(path, times, follow);
    return;
  }
  const spec = new Uint8Array(32);
  const view = new DataView(spec.buffer);
  storeTime(view, 0, times.atimNs);
  storeTime(view, 16, times.mtimNs);
  if (
    libc.utimensat(AT_FDCWD, Buffer.concat([path, Buffer.of(0)]), spec, follow ? 0 : AT_SYMLINK_NOFOLLOW) ===
    0
  )
    return;
  const { errno } = libc.koffi.os;
  const number = libc.koffi.errno();
  const code = Object.keys(errno).find((name) => errno[name] === number);
  throw new WasiError(errnoOfHostCode[code ?? ''] ?? Errno.io);
}

function storeTime(view: DataView, at: number, ns: bigint | undefined): void {
  view.setBigInt64(at, ns === undefined ? 0n : ns / nsPerSecond, true);
  view.setBigInt64(at + 8, ns === undefined ? UTIME_OMIT : ns % nsPerSecond, true);
}

function setTimesCoarsely(path: Buffer, times: FileTimes, follow: boolean): void {
  const stat = (follow ? statSync : lstatSync)(path, { bigint: true });
  const atim = Number(times.atimNs ?? stat.atimeNs) / 1e9;
  const mtim = Number(times.mtimNs ?? stat.mtimeNs) / 1e9;
  (follow ? utimesSync : lutimesSync)(path, atim, mtim);
}
