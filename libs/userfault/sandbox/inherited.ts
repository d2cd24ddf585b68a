// What this process has open and did not open itself, a pipe of whoever started it perhaps, is no virtual kernel's.
import koffi from 'koffi';

const close_range = koffi
  .load('libc.so.6')
  .func('long syscall(long number, unsigned int first, unsigned int last, unsigned int flags)');
const CLOSE_RANGE = 436;
const CLOEXEC = 4;
const ALL = 0xffff_ffff;

/** Everything but the standard ones ends with the next exec; what a child is to have it is given by name. */
export function closeOnExec(): void {
  // Before Linux 5.11 there is none; the services need a later one anyway.
  close_range(CLOSE_RANGE, 3, ALL, CLOEXEC);
}
