/*
 * A compute kernel prints {"kernel","ns","checksum"}: `ns` is the time of the work alone, `checksum` is the same
 * wherever it runs.  The first argument scales the work (default in each file).
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "guest.h"

typedef uint64_t kernel_work(uint64_t scale);

__attribute__((unused)) static int run_kernel(const char *name, kernel_work *work, uint64_t otherwise, int argc,
                                              char **argv) {
  uint64_t scale = argc > 1 ? number(argv[1], "SCALE") : otherwise;
  uint64_t begin_ns = now_ns();
  uint64_t checksum = work(scale);
  uint64_t ns = now_ns() - begin_ns;
  printf("{\"kernel\":\"%s\",\"scale\":%" PRIu64 ",\"ns\":%" PRIu64 ",\"checksum\":\"%016" PRIx64 "\"}\n", name, scale, ns,
         checksum);
  return 0;
}

/** malloc that ends the program when there is no memory. */
__attribute__((unused)) static void *allocated(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory == NULL) die(EXIT_CALL, "out of memory");
  return memory;
}

#endif
