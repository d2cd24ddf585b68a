/*
 * sections: lock, change, unlock.
 *
 *   sections DS PAGES REGIONS SECONDS [--wait]   locks one of REGIONS regions at random, adds one to a word on each of its
 *                                                PAGES pages, and unlocks it, over and over
 *   sections DS PAGES REGIONS sum                what all that came to
 *
 * --wait prints {"ready":true}, and goes on at the first byte of standard input. The first prints
 * {"sections","p50_us","p99_us"}, the other {"sum"}.
 */
#include "guest.h"

enum { TIMES_MAX = 1 << 20 };
static const uint64_t SECOND_NS = 1000000000;

int main(int argc, char **argv) {
  bool wait = take_option(&argc, argv, "--wait", false) != NULL;
  no_more_options(argc, argv);
  if (argc != 5) die(EXIT_USAGE, "usage: sections DS PAGES REGIONS SECONDS|sum [--wait]");
  uint64_t pages = number(argv[2], "PAGES"), regions = number(argv[3], "REGIONS");
  if (pages < 1 || pages > 1024 || regions < 1 || regions > 1024) die(EXIT_USAGE, "PAGES or REGIONS: 1 to 1024");
  uint64_t bytes = pages * ODONATA_PAGE;
  struct mapping shared = map_dataspace(argv[1], regions * bytes, ODONATA_READ_WRITE);
  if (strcmp(argv[4], "sum") == 0) {
    uint64_t sum = 0;
    for (uint64_t page = 0; page < regions * pages; page++)
      sum += *(volatile uint64_t *)(shared.base + page * ODONATA_PAGE);
    printf("{\"sum\":%" PRIu64 "}\n", sum);
    return 0;
  }
  uint64_t seconds = number(argv[4], "SECONDS"), sections = 0;
  uint64_t *took_ns = malloc(TIMES_MAX * sizeof *took_ns);
  if (took_ns == NULL) die(EXIT_CALL, "out of memory");
  if (wait) {
    printf("{\"ready\":true}\n");
    fflush(stdout);
    if (getchar() == EOF) return 0;
  }
  uint64_t begin_ns = now_ns(), random_state = begin_ns | 1;
  for (uint64_t at_ns = begin_ns; at_ns - begin_ns < seconds * SECOND_NS && sections < TIMES_MAX;) {
    uint64_t region = next_random(&random_state) % regions;
    int64_t first = (int64_t)(region * bytes), last = first + (int64_t)bytes - 1;
    must(odonata_lock(shared.ds.id, first, last, ODONATA_LOCK_MODIFYING, -1), "lock");
    for (uint64_t page = 0; page < pages; page++)
      *(volatile uint64_t *)(shared.base + region * bytes + page * ODONATA_PAGE) += 1;
    must(odonata_unlock(shared.ds.id, first, last), "unlock");
    uint64_t now = now_ns();
    took_ns[sections++] = now - at_ns;
    at_ns = now;
  }
  if (sections == 0) die(EXIT_CHECK, "no section in %" PRIu64 " s", seconds);
  qsort(took_ns, sections, sizeof *took_ns, by_u64);
  printf("{\"sections\":%" PRIu64 ",\"p50_us\":%.1f,\"p99_us\":%.1f}\n", sections,
         (double)took_ns[sections / 2] / 1e3, (double)took_ns[sections * 99 / 100] / 1e3);
  return 0;
}
