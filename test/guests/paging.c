/*
 * paging: a working set of private memory, or of a dataspace, gone through by some pattern, and exact to the last byte.
 *
 *   paging MIB ACCESSES PATTERN SEED [DS]     PATTERN: scan, random, loop, phases or mix
 *
 * With DS it is a dataspace of that name, which it makes, instead of private memory. With `+log` behind PATTERN it prints which pages it
 * used, in order: "log". With `+wait` it says "filled" when it has begun all pages, and goes on once the first word of dataspace `go` is not 0.
 *
 * Each page but every eighth, which is never written, begins with numbers of its own. An access checks a page at three places,
 * and writes every second one anew. Then all words of all pages are checked.
 * Prints {"pattern","pages","accesses","wrong_pages","first_wrong","ns"}; the exit code is 1 where a page is not as it must be.
 */
#include <unistd.h>

#include "guest.h"

enum { WORDS = ODONATA_PAGE / 8 };

static uint64_t word_of(uint64_t page, uint64_t version, int at) {
  return page % 8 == 7 ? 0 : (page + 1) * 0x9e3779b97f4a7c15u + version * 0xbf58476d1ce4e5b9u + (uint64_t)at;
}

static void fill(uint64_t *words, uint64_t page, uint64_t version) {
  for (int at = 0; at < WORDS; at++) words[at] = word_of(page, version, at);
}

/* Which page is next, of the i-th access. */
static uint64_t next_page(const char *pattern, uint64_t i, uint64_t pages, uint64_t *random) {
  uint64_t chance = next_random(random);
  switch (pattern[0]) {
  case 's': return i % pages;
  case 'l': return i % (pages * 5 / 8);
  case 'p': return (i / 2000 * (pages / 8) + chance % (pages / 8)) % pages;
  /* Most of a tenth of the pages, while a scan goes through all of them. */
  case 'm': return chance % 4 == 0 ? i / 4 % pages : chance / 4 % (pages / 10);
  default: return chance % pages;
  }
}

static void wait_for_go(void) {
  struct mapping go = map_dataspace("go", 4096, ODONATA_READ);
  puts("filled");
  fflush(stdout);
  while (__atomic_load_n((uint32_t *)go.base, __ATOMIC_SEQ_CST) == 0) usleep(20000);
}

int main(int argc, char **argv) {
  if (argc != 5 && argc != 6) die(EXIT_USAGE, "usage: paging MIB ACCESSES scan|random|loop|phases|mix SEED [DS]");
  uint64_t pages = number(argv[1], "MIB") * 256, accesses = number(argv[2], "ACCESSES");
  uint64_t random = number(argv[4], "SEED") + 1, begin_ns = now_ns();
  uint64_t *memory = argc == 6 ? (uint64_t *)map_dataspace(argv[5], pages * ODONATA_PAGE, ODONATA_READ_WRITE).base
                               : aligned_alloc(65536, pages * ODONATA_PAGE);
  bool logs = strstr(argv[3], "+log") != NULL;
  uint16_t *log = logs ? calloc(accesses, sizeof *log) : NULL;
  uint8_t *versions = calloc(pages, 1);
  if (memory == NULL || versions == NULL) die(EXIT_CALL, "no addresses for %s MiB", argv[1]);
  for (uint64_t page = 0; page < pages; page++)
    if (page % 8 != 7) fill(memory + page * WORDS, page, 0);
  if (strstr(argv[3], "+wait") != NULL) wait_for_go();
  uint64_t wrong = 0;
  int64_t first_wrong = -1;
  for (uint64_t i = 0; i < accesses; i++) {
    uint64_t page = next_page(argv[3], i, pages, &random);
    uint64_t *words = memory + page * WORDS;
    bool equal = true;
    if (logs) log[i] = (uint16_t)page;
    for (int at = 0; at < WORDS; at += WORDS / 2 - 1) equal &= words[at] == word_of(page, versions[page], at);
    if (!equal && wrong++ == 0) first_wrong = (int64_t)page;
    if (i % 2 == 0 && page % 8 != 7) fill(words, page, ++versions[page]);
  }
  for (uint64_t page = 0; page < pages; page++) {
    bool equal = true;
    for (int at = 0; at < WORDS; at++) equal &= memory[page * WORDS + at] == word_of(page, versions[page], at);
    if (!equal && wrong++ == 0) first_wrong = (int64_t)page;
  }
  printf("{\"pattern\":\"%s\",\"pages\":%" PRIu64 ",\"accesses\":%" PRIu64 ",\"wrong_pages\":%" PRIu64
         ",\"first_wrong\":%" PRId64 ",\"ns\":%" PRIu64,
         argv[3], pages, accesses, wrong, first_wrong, now_ns() - begin_ns);
  for (uint64_t i = 0; logs && i < accesses; i++) printf("%s%u", i == 0 ? ",\"log\":[" : ",", log[i]);
  puts(logs ? "]}" : "}");
  return wrong > 0 ? EXIT_CHECK : 0;
}
