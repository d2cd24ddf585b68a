/*
 * counter: many processes, one number.
 *
 *   counter DS atomic N [--start M] [--at BYTES] [--name NAME]   N atomic increments, of the number that stands there in the
 *                                                             first page, and what it is called
 *   counter DS lock N [--start M]     N increments by plain load and store, each under a MODIFYING lock
 *   counter DS plain N [--start M]    N increments by plain load and store, unguarded: may lose some
 *   counter DS pair-write N           N times, under EXCLUSIVE: adds 1 to two words on different pages
 *   counter DS pair-read N            N times, under SHARED: both words must be equal
 *   counter DS read                   what the number is
 *
 * --start M: waits until M processes are there.  Prints {"mode","increments","seen","ns"}; `seen` is the number after
 * the last own increment, for pair-read the number of readings that were unequal (then the exit code is 1).
 */
#include "barrier.h"

enum { COUNTER_AT = 0, SECOND_AT = 2 * 4096, BARRIER_AT = 4096, BYTES = 4 * 4096, START_TIMEOUT_MS = 60000 };

int main(int argc, char **argv) {
  uint64_t start = number_option(&argc, argv, "--start", 0), at = number_option(&argc, argv, "--at", COUNTER_AT);
  const char *name = take_option(&argc, argv, "--name", true);
  no_more_options(argc, argv);
  if (argc != 4 && !(argc == 3 && strcmp(argv[2], "read") == 0)) {
    die(EXIT_USAGE, "usage: counter DS atomic|lock|plain|pair-write|pair-read N [--start M] | counter DS read");
  }
  if (at % 8 != 0 || at >= 4096) die(EXIT_USAGE, "BYTES is a multiple of 8 below 4096");
  const char *mode = argv[2];
  uint64_t n = argc == 4 ? number(argv[3], "N") : 0;
  struct mapping shared = map_dataspace(argv[1], BYTES, ODONATA_READ_WRITE);
  uint32_t *counter = (uint32_t *)(shared.base + at), *second = (uint32_t *)(shared.base + SECOND_AT);
  volatile uint32_t *plain = counter, *plain_second = second;
  if (name != NULL) must(odonata_name_range(shared.ds.id, at, 4, name, (uint32_t)strlen(name)), "name_range");
  if (start > 0) barrier_wait((struct barrier *)(shared.base + BARRIER_AT), (uint32_t)start, START_TIMEOUT_MS);

  uint64_t begin_ns = now_ns();
  uint64_t seen = 0, id = shared.ds.id;
  if (strcmp(mode, "atomic") == 0) {
    for (uint64_t i = 0; i < n; i++) seen = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
  } else if (strcmp(mode, "plain") == 0) {
    for (uint64_t i = 0; i < n; i++) seen = *plain = *plain + 1;
  } else if (strcmp(mode, "lock") == 0) {
    for (uint64_t i = 0; i < n; i++) {
      must(odonata_lock(id, at, at + 3, ODONATA_LOCK_MODIFYING, -1), "lock");
      seen = *plain = *plain + 1;
      must(odonata_unlock(id, at, at + 3), "unlock");
    }
  } else if (strcmp(mode, "pair-write") == 0) {
    for (uint64_t i = 0; i < n; i++) {
      must(odonata_lock(id, 0, BYTES - 1, ODONATA_LOCK_EXCLUSIVE, -1), "lock");
      *plain = *plain + 1;
      seen = *plain_second = *plain_second + 1;
      must(odonata_unlock(id, 0, BYTES - 1), "unlock");
    }
  } else if (strcmp(mode, "pair-read") == 0) {
    for (uint64_t i = 0; i < n; i++) {
      must(odonata_lock(id, 0, BYTES - 1, ODONATA_LOCK_SHARED, -1), "lock");
      if (*plain != *plain_second) seen++;
      must(odonata_unlock(id, 0, BYTES - 1), "unlock");
    }
  } else if (strcmp(mode, "read") == 0) {
    seen = __atomic_load_n(counter, __ATOMIC_SEQ_CST);
  } else {
    die(EXIT_USAGE, "unknown mode %s", mode);
  }
  printf("{\"mode\":\"%s\",\"increments\":%" PRIu64 ",\"seen\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n", mode, n, seen,
         now_ns() - begin_ns);
  return strcmp(mode, "pair-read") == 0 && seen > 0 ? EXIT_CHECK : 0;
}
