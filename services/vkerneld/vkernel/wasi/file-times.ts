// Sets the times of a file to the nanosecond. node:fs takes them as floating-point seconds, which are some 200 ns
// coarse today, so that a copied time would not equal its original; utimensat(2) is called instead.

import { koffi, libcFunction } from '@odonata/userfault/koffi.ts';
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

const utimensat = libcFunction(
  'int utimensat(int directory, const uint8_t *path, const uint8_t *times, int flags)',
);

/** @param follow true for the path of an open descriptor, which is a link to the file that is meant. */
export function setTimes(path: string | Buffer, times: FileTimes, follow: boolean): void {
  if (times.atimNs === undefined && times.mtimNs === undefined) return;
  const spec = new Uint8Array(32);
  const view = new DataView(spec.buffer);
  storeTime(view, 0, times.atimNs);
  storeTime(view, 16, times.mtimNs);
  const named = typeof path === 'string' ? Buffer.from(path) : path;
  if (utimensat(AT_FDCWD, Buffer.concat([named, Buffer.of(0)]), spec, follow ? 0 : AT_SYMLINK_NOFOLLOW) === 0)
    return;
  const { errno } = koffi().os;
  const number = koffi().errno();
  const code = Object.keys(errno).find((name) => errno[name] === number);
  throw new WasiError(errnoOfHostCode[code ?? ''] ?? Errno.io);
}

function storeTime(view: DataView, at: number, ns: bigint | undefined): void {
  view.setBigInt64(at, ns === undefined ? 0n : ns / nsPerSecond, true);
  view.setBigInt64(at + 8, ns === undefined ? UTIME_OMIT : ns % nsPerSecond, true);
}
