/* hashtable: SCALE thousand random keys inserted into and looked up in an open-addressing table. */
#include "kernel.h"

static uint64_t work(uint64_t scale) {
  size_t keys = scale * 1000, capacity = 1;
  while (capacity < keys * 2) capacity *= 2;
  struct entry {
    uint64_t key, value;
  } *table = calloc(capacity, sizeof *table);
  if (table == NULL) die(EXIT_CALL, "out of memory");
  uint64_t random = 1, checksum = 0;
  for (size_t i = 0; i < keys; i++) {
    uint64_t key = next_random(&random) | 1;
    size_t at = (key * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
    while (table[at].key != 0 && table[at].key != key) at = (at + 1) & (capacity - 1);
    table[at] = (struct entry){key, i};
  }
  random = 1;
  for (size_t i = 0; i < keys; i++) {
    uint64_t key = next_random(&random) | 1;
    size_t at = (key * 0x9e3779b97f4a7c15u >> 20) & (capacity - 1);
    while (table[at].key != key) at = (at + 1) & (capacity - 1);
    checksum = checksum * 31 + table[at].value;
  }
  return checksum;
}

int main(int argc, char **argv) { return run_kernel("hashtable", work, 1000, argc, argv); }
