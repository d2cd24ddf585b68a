/* chase: follows pointers through a random cycle of SCALE MiB, 4 million steps. */
#include "kernel.h"

enum { STEPS = 4000000, LINE_WORDS = 16 };

static uint64_t work(uint64_t scale) {
  size_t lines = scale * (1 << 20) / 64;
  uint32_t *memory = allocated(lines * 64), *order = allocated(lines * sizeof *order);
  for (size_t i = 0; i < lines; i++) order[i] = (uint32_t)i;
  uint64_t random = 1, checksum = 0;
  for (size_t i = lines - 1; i > 0; i--) {
    size_t other = next_random(&random) % (i + 1);
    uint32_t kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
  for (size_t i = 0; i < lines; i++) memory[(size_t)order[i] * LINE_WORDS] = order[(i + 1) % lines];
  uint32_t at = 0;
  for (int step = 0; step < STEPS; step++) {
    at = memory[(size_t)at * LINE_WORDS];
    checksum += at;
  }
  return checksum;
}

int main(int argc, char **argv) { return run_kernel("chase", work, 32, argc, argv); }
