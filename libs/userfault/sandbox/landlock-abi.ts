// Landlock, landlock(7): what of the file system, the network and other processes this process, and all that come from it,
// may still touch. It needs no privilege. Where no namespaces can be made it takes their place.
import koffi from 'koffi';

const syscall = koffi
  .load('libc.so.6')
  .func('long syscall(long number, const void *attributes, size_t bytes, uint32_t flags)');
const CREATE_RULESET = 444;
const VERSION = 1;

/** What the kernel knows of it; 0: nothing, or a profile refuses to say. */
export function landlockAbi(): number {
  return Math.max(0, Number(syscall(CREATE_RULESET, null, 0, VERSION)));
}
