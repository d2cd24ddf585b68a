/* qsort: sorts SCALE thousand 64-bit numbers with libc's qsort. */
#include "kernel.h"

static uint64_t work(uint64_t scale) {
  size_t count = scale * 1000;
  uint64_t *values = allocated(count * sizeof *values), random = 1, checksum = 0;
  for (size_t i = 0; i < count; i++) values[i] = next_random(&random);
  qsort(values, count, sizeof *values, by_u64);
  for (size_t i = 0; i < count; i++) checksum = checksum * 31 + values[i];
  return checksum;
}

int main(int argc, char **argv) { return run_kernel("qsort", work, 1000, argc, argv); }
