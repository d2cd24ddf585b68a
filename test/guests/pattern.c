/*
 * pattern: every byte of a range of pages, written by one process and checked by another.
 *
 *   pattern DS PAGES write SEED [--first P]    fills pages P.. with a stream of numbers of SEED and the page's number
 *   pattern DS PAGES check SEED [--first P]    compares; the exit code is 1 if any byte differs
 *   pattern DS PAGES zero 0 [--first P]        all must be zero
 *
 * Prints {"mode","pages","wrong_pages","first_wrong","ns"}.  The dataspace is created with --size BYTES (default:
 * as many pages as are named).
 */
#include "guest.h"

enum { WORDS = ODONATA_PAGE / 8 };

int main(int argc, char **argv) {
  uint64_t first = number_option(&argc, argv, "--first", 0), size = number_option(&argc, argv, "--size", 0);
  no_more_options(argc, argv);
  if (argc != 5) die(EXIT_USAGE, "usage: pattern DS PAGES write|check|zero SEED [--first P] [--size BYTES]");
  uint64_t pages = number(argv[2], "PAGES"), seed = number(argv[4], "SEED");
  char mode = argv[3][0];
  if (mode != 'w' && mode != 'c' && mode != 'z') die(EXIT_USAGE, "%s: use write, check or zero", argv[3]);
  if (size == 0) size = (first + pages) * ODONATA_PAGE;
  struct mapping shared = map_dataspace(argv[1], size, mode == 'w' ? ODONATA_READ_WRITE : ODONATA_READ);
  if ((first + pages) * ODONATA_PAGE > odonata_round_up(shared.ds.size_bytes)) die(EXIT_USAGE, "PAGES: too many");
  uint64_t wrong = 0, begin_ns = now_ns();
  int64_t first_wrong = -1;
  for (uint64_t page = first; page < first + pages; page++) {
    volatile uint64_t *words = (volatile uint64_t *)(shared.base + page * ODONATA_PAGE);
    uint64_t random = (seed + 1) * 0x9e3779b97f4a7c15u + page + 1;
    bool equal = true;
    for (int i = 0; i < WORDS; i++) {
      uint64_t value = mode == 'z' ? 0 : next_random(&random);
      if (mode == 'w') words[i] = value;
      else equal &= words[i] == value;
    }
    if (equal) continue;
    if (wrong++ == 0) first_wrong = (int64_t)page;
  }
  printf("{\"mode\":\"%s\",\"pages\":%" PRIu64 ",\"wrong_pages\":%" PRIu64 ",\"first_wrong\":%" PRId64 ",\"ns\":%" PRIu64
         "}\n",
         argv[3], pages, wrong, first_wrong, now_ns() - begin_ns);
  return wrong > 0 ? EXIT_CHECK : 0;
}
