/*
 * row: keeps one page of a table up to date, whatever reads it.
 *
 *   row TABLE ROWS ROW ROUNDS
 *
 * A page begins with its version, which is odd while the page is being written; then who writes it, and 64 values.
 * Build: clang --target=wasm32-wasi -O2 -matomics -I libs/guest -Wl,--stack-first row.c -o row.wasm
 */
#include <odonata.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUES = 64 };

struct row {
  uint32_t version, node, values[VALUES];
};

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  uint64_t rows = strtoull(argv[2], NULL, 10), number = strtoull(argv[3], NULL, 10);
  uint64_t rounds = strtoull(argv[4], NULL, 10);
  struct odonata_dataspace table;
  void *base;
  int32_t failed =
      odonata_ds_open(argv[1], (uint32_t)strlen(argv[1]), rows * ODONATA_PAGE, ODONATA_OPEN_CREATE, &table);
  if (failed == 0) failed = odonata_ds_map_whole(&table, ODONATA_READ_WRITE, &base);
  if (failed != 0 || number >= rows) {
    fprintf(stderr, "row: %s: %s\n", argv[1], strerror(failed));
    return 1;
  }
  struct row *row = (struct row *)((char *)base + number * ODONATA_PAGE);
  for (uint64_t round = 0; round < rounds; round++) {
    uint32_t version = __atomic_load_n(&row->version, __ATOMIC_SEQ_CST);
    __atomic_store_n(&row->version, version + 1, __ATOMIC_SEQ_CST);
    row->node = odonata_node_id();
    for (int i = 0; i < VALUES; i++) __atomic_store_n(&row->values[i], version / 2 + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&row->version, version + 2, __ATOMIC_SEQ_CST);
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, NULL);
  }
  printf("%u\n", (unsigned)__atomic_load_n(&row->version, __ATOMIC_SEQ_CST));
  return 0;
}
