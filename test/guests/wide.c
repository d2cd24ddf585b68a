/*
 * wide: a little work on many pages far from each other, by several processes in turn.
 *
 *   wide DS BYTES ROUNDS INDEX COUNT
 *
 * The dataspace has a word every 2 MiB.  In each round each of COUNT processes (this one is INDEX, from 0) takes each
 * word's lock and adds 1 to the word and to its twin on the next page; the two must be equal, and the word at least
 * what this process left there.  A word's own count stands beside it for each process: their sum must be the word.
 * Prints {"round":N,"longest_ms":M} after each round, and at last
 * {"rounds","wrong","longest_ms"}: readings that were wrong, and the longest time that one access or lock took.
 */
#include "guest.h"

enum { STRIDE = 2 << 20, TWIN_AT = 4096 };

static uint64_t longest_ns;

static uint64_t timed_from(uint64_t begin_ns) {
  uint64_t took_ns = now_ns() - begin_ns;
  if (took_ns > longest_ns) longest_ns = took_ns;
  return took_ns;
}

int main(int argc, char **argv) {
  no_more_options(argc, argv);
  if (argc != 6) die(EXIT_USAGE, "usage: wide DS BYTES ROUNDS INDEX COUNT");
  uint64_t bytes = number(argv[2], "BYTES"), rounds = number(argv[3], "ROUNDS");
  uint64_t index = number(argv[4], "INDEX"), count = number(argv[5], "COUNT");
  if (bytes < STRIDE || bytes % STRIDE != 0 || index >= count || count > 16) die(EXIT_USAGE, "BYTES, INDEX or COUNT");
  struct mapping shared = map_dataspace(argv[1], bytes, ODONATA_READ_WRITE);
  uint64_t words = bytes / STRIDE, wrong = 0;
  for (uint64_t round = 1; round <= rounds; round++) {
    for (uint64_t i = 0; i < words; i++) {
      uint64_t at = (i + index * words / count) % words * STRIDE;
      volatile uint32_t *word = (volatile uint32_t *)(shared.base + at);
      volatile uint32_t *twin = (volatile uint32_t *)(shared.base + at + TWIN_AT);
      uint64_t begin_ns = now_ns();
      must(odonata_lock(shared.ds.id, at, at + 63, ODONATA_LOCK_MODIFYING, -1), "lock");
      timed_from(begin_ns);
      begin_ns = now_ns();
      uint32_t sum = 0;
      for (uint64_t of = 1; of <= count; of++) sum += word[of];
      if (*word != sum || *twin != sum || word[1 + index] != round - 1) wrong++;
      word[1 + index]++;
      *word = *word + 1;
      *twin = *twin + 1;
      timed_from(begin_ns);
      must(odonata_unlock(shared.ds.id, at, at + 63), "unlock");
    }
    printf("{\"round\":%" PRIu64 ",\"longest_ms\":%" PRIu64 "}\n", round, longest_ns / 1000000);
    fflush(stdout);
  }
  printf("{\"rounds\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"longest_ms\":%" PRIu64 "}\n", rounds, wrong,
         longest_ns / 1000000);
  return wrong != 0;
}
