/* matmul: product of two SCALE x SCALE matrices of doubles, twice. */
#include "kernel.h"

static uint64_t work(uint64_t scale) {
  size_t n = scale;
  double *a = allocated(n * n * 8), *b = allocated(n * n * 8), *c = allocated(n * n * 8);
  for (size_t i = 0; i < n * n; i++) {
    a[i] = (double)(i % 97) - 48;
    b[i] = (double)(i % 89) - 44;
  }
  uint64_t checksum = 0;
  for (int round = 0; round < 2; round++) {
    memset(c, 0, n * n * 8);
    for (size_t i = 0; i < n; i++) {
      for (size_t k = 0; k < n; k++) {
        double factor = a[i * n + k];
        for (size_t j = 0; j < n; j++) c[i * n + j] += factor * b[k * n + j];
      }
    }
    for (size_t i = 0; i < n * n; i++) checksum = checksum * 31 + (uint64_t)(int64_t)c[i];
  }
  return checksum;
}

int main(int argc, char **argv) { return run_kernel("matmul", work, 512, argc, argv); }
