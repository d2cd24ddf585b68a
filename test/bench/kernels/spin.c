/*
 * spin MS: computes for so long, once its standard input says so, and yields to nobody. It says that it is ready, and then how often it
 * went round.
 */
#include <unistd.h>

#include "guest.h"

int main(int argc, char **argv) {
  if (argc != 2) die(EXIT_USAGE, "usage: spin MS");
  uint64_t turns = 0, for_ns = number(argv[1], "MS") * 1000000;
  char go;
  printf("{\"ready\":true}\n");
  fflush(stdout);
  if (read(0, &go, 1) < 0) die(EXIT_CALL, "read");
  for (uint64_t end = now_ns() + for_ns; now_ns() < end; turns++)
    for (volatile int i = 0; i < 20000; i++) continue;
  printf("{\"turns\":%" PRIu64 "}\n", turns);
  return 0;
}
