/*
 * fought: words of one page that several processes write.
 *
 *   fought DS WORD SECONDS [--wait]    adds one to a word of the first page, over and over; WORD: which 64 bytes it is in, 0 to 63
 *   fought DS sum                      what all words came to
 *
 * --wait prints {"ready":true}, and goes on at the first byte of standard input. The first prints {"adds"}, the other {"sum"}.
 */
#include "guest.h"

enum { WORDS = 64, APART = 64, BATCH = 16 };
static const uint64_t SECOND_NS = 1000000000;

int main(int argc, char **argv) {
  bool wait = take_option(&argc, argv, "--wait", false) != NULL;
  no_more_options(argc, argv);
  bool sums = argc == 3 && strcmp(argv[2], "sum") == 0;
  if (!sums && argc != 4) die(EXIT_USAGE, "usage: fought DS WORD SECONDS [--wait] | fought DS sum");
  uint64_t word = sums ? 0 : number(argv[2], "WORD"), seconds = sums ? 1 : number(argv[3], "SECONDS"), adds = 0;
  if (word >= WORDS || seconds < 1 || seconds > 3600) die(EXIT_USAGE, "WORD: 0 to 63; SECONDS: 1 to 3600");
  struct mapping page = map_dataspace(argv[1], ODONATA_PAGE, ODONATA_READ_WRITE);
  if (sums) {
    for (int i = 0; i < WORDS; i++) adds += __atomic_load_n((uint64_t *)(page.base + i * APART), __ATOMIC_SEQ_CST);
    printf("{\"sum\":%" PRIu64 "}\n", adds);
    return 0;
  }
  uint64_t *own = (uint64_t *)(page.base + word * APART);
  if (wait) {
    printf("{\"ready\":true}\n");
    fflush(stdout);
    if (getchar() == EOF) return 0;
  }
  for (uint64_t end_ns = now_ns() + seconds * SECOND_NS; now_ns() < end_ns; adds += BATCH)
    for (int i = 0; i < BATCH; i++) __atomic_add_fetch(own, 1, __ATOMIC_SEQ_CST);
  printf("{\"adds\":%" PRIu64 "}\n", adds);
  return 0;
}
