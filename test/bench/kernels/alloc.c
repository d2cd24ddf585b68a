/*
 * alloc: SCALE rounds that build and drop lists of blocks of 16 bytes to 64 KiB, while memory grows to some 100 MiB:
 * most of its pages are touched for the first time while the clock runs.
 */
#include "kernel.h"

enum { LIVE = 4096 };

static uint64_t work(uint64_t scale) {
  static unsigned char *live[LIVE];
  uint64_t random = 1, checksum = 0;
  for (uint64_t round = 0; round < scale; round++) {
    for (int i = 0; i < LIVE; i++) {
      uint64_t draw = next_random(&random);
      /* Mostly small, now and then large, as programs allocate. */
      size_t bytes = 16 + (draw >> 8) % (draw % 16 == 0 ? 65536 : draw % 4 == 0 ? 4096 : 256);
      size_t at = (draw >> 32) % LIVE;
      if (live[at] != NULL) {
        checksum = checksum * 31 + live[at][0];
        free(live[at]);
      }
      live[at] = allocated(bytes);
      memset(live[at], (int)(draw & 255), bytes);
    }
  }
  /* One large block after another, each touched throughout: the allocation pattern of a growing array. */
  unsigned char *array = NULL;
  for (size_t bytes = 1 << 20; bytes <= 32 << 20; bytes *= 2) {
    unsigned char *grown = realloc(array, bytes);
    if (grown == NULL) die(EXIT_CALL, "out of memory");
    array = grown;
    memset(array + bytes / 2, (int)(bytes >> 20), bytes / 2);
    checksum = checksum * 31 + array[bytes - 1];
  }
  return checksum;
}

int main(int argc, char **argv) { return run_kernel("alloc", work, 100, argc, argv); }
