/*
 * readonly: what a read-only mapping refuses.
 *
 *   readonly DS store     a plain store: the process must end with SIGSEGV
 *   readonly DS atomic    an atomic addition
 *   readonly DS fill      memory.fill, which the engine carries out in native code
 *   readonly DS copy      memory.copy into it
 *   readonly DS kernel    fd_read into it: the system call must give EFAULT, and the process goes on
 *   readonly DS load      loads only: fine
 *
 * Prints {"before":WORD} first, and {"survived":true} if it still runs after the attempt.
 */
#include <wasi/api.h>

#include "guest.h"

int main(int argc, char **argv) {
  if (argc != 3) die(EXIT_USAGE, "usage: readonly DS store|atomic|fill|copy|kernel|load");
  struct mapping shared = map_dataspace(argv[1], 4 * ODONATA_PAGE, ODONATA_READ);
  volatile uint32_t *word = (volatile uint32_t *)shared.base;
  printf("{\"before\":%u}\n", (unsigned)*word);
  fflush(stdout);
  static unsigned char source[8192];
  size_t length = 4096 + number("1", "1"); /* Not known to the compiler: no unrolled stores instead of memory.fill. */
  if (strcmp(argv[2], "store") == 0) *word = 1;
  else if (strcmp(argv[2], "atomic") == 0) __atomic_fetch_add((uint32_t *)shared.base, 1, __ATOMIC_SEQ_CST);
  else if (strcmp(argv[2], "fill") == 0) memset(shared.base, 7, length);
  else if (strcmp(argv[2], "copy") == 0) {
    __asm__ volatile("" : : "r"(source) : "memory"); /* Not known to be zero: or this is a memory.fill as well. */
    memcpy(shared.base, source, length);
  }
  else if (strcmp(argv[2], "kernel") == 0) {
    __wasi_iovec_t range = {shared.base, 16};
    __wasi_size_t got = 0;
    __wasi_errno_t result = __wasi_fd_read(0, &range, 1, &got);
    printf("{\"read\":%u,\"errno\":%d}\n", (unsigned)got, (int)result);
  } else if (strcmp(argv[2], "load") != 0) die(EXIT_USAGE, "readonly: unknown way %s", argv[2]);
  printf("{\"survived\":true,\"word\":%u}\n", (unsigned)*word);
  return 0;
}
