/* crc32: the checksum of 16 MiB, SCALE times, by a table of 256 words. */
#include "kernel.h"

enum { BYTES = 16 << 20 };

static uint64_t work(uint64_t scale) {
  static uint32_t table[256];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
    table[i] = value;
  }
  unsigned char *bytes = allocated(BYTES);
  for (size_t i = 0; i < BYTES; i++) bytes[i] = (unsigned char)(i * 7 + (i >> 11));
  uint32_t crc = ~0u;
  for (uint64_t round = 0; round < scale; round++) {
    for (size_t i = 0; i < BYTES; i++) crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 255];
  }
  return ~crc;
}

int main(int argc, char **argv) { return run_kernel("crc32", work, 8, argc, argv); }
