/*
 * touch: what a fault costs.  Accesses one word in each of PAGES pages of a dataspace and times each access.
 *
 *   touch DS PAGES read|write|add ORDER [--first P] [--size BYTES] [--value V] [--rounds N] [--count N] [--read-first]
 *         [--wait] [--linger] [--raw] [--compute-us N]
 *
 *   read   a plain load               add   an atomic addition of V (default 1)
 *   write  a plain store of V         ORDER seq, back (from the last), random or stride=N (every N-th page, then the next ones)
 *
 * Prints {"access","order","pages","clock_ns":N,"access_ns":{count,mean,min,p50,p90,p99,p999,max},"sum":N}; `clock_ns`
 * is what an empty measurement shows (subtract it), `sum` the sum of the words that were read.  --rounds N goes through
 * the pages N times and prints a line for each round: the second is that of resident pages.  --raw adds "raw":[ns,…]
 * in the order of access.  --count N stops after the first N accesses of the order.  --read-first reads the same pages
 * before, untimed: writes then find them mapped read-only.  --wait prints {"ready":true} before the first timed access
 * and goes on at the first byte of standard input; --linger keeps the mapping, after the output, until that ends.  --compute-us N computes so long before each access.  Use
 * --size to create the dataspace, else it must exist.  DS may be -: private memory, never touched.
 */
#include "guest.h"

enum { CLOCK_SAMPLES = 1001 };

static uint64_t clock_cost_ns(void) {
  static uint64_t samples[CLOCK_SAMPLES];
  for (int i = 0; i < CLOCK_SAMPLES; i++) {
    uint64_t begin_ns = now_ns();
    samples[i] = now_ns() - begin_ns;
  }
  qsort(samples, CLOCK_SAMPLES, sizeof *samples, by_u64);
  return samples[CLOCK_SAMPLES / 2];
}

/** The pages in the order of access. */
static uint32_t *order_pages(const char *order, uint32_t pages) {
  uint32_t *list = malloc(pages * sizeof *list);
  if (list == NULL) die(EXIT_CALL, "out of memory");
  uint32_t stride = 1;
  if (strncmp(order, "stride=", 7) == 0) stride = (uint32_t)number(order + 7, "stride");
  else if (strcmp(order, "seq") != 0 && strcmp(order, "back") != 0 && strcmp(order, "random") != 0) {
    die(EXIT_USAGE, "order '%s': use seq, back, random or stride=N", order);
  }
  if (stride == 0) die(EXIT_USAGE, "stride=0 gets nowhere");
  uint32_t used = 0;
  for (uint32_t start = 0; start < stride; start++) {
    for (uint32_t page = start; page < pages; page += stride) list[used++] = page;
  }
  for (uint32_t i = 0; strcmp(order, "back") == 0 && i < pages; i++) list[i] = pages - 1 - i;
  uint64_t random = 42;
  for (uint32_t i = pages; strcmp(order, "random") == 0 && i > 1; i--) {
    uint32_t other = (uint32_t)(next_random(&random) % i), kept = list[i - 1];
    list[i - 1] = list[other];
    list[other] = kept;
  }
  return list;
}

static volatile uint64_t computed;

static void compute(uint64_t us) {
  for (uint64_t until_ns = now_ns() + us * 1000; us > 0 && now_ns() < until_ns;)
    for (int i = 0; i < 10000; i++) computed = computed * 6364136223846793005u + 1442695040888963407u;
}

int main(int argc, char **argv) {
  uint64_t first = number_option(&argc, argv, "--first", 0), size = number_option(&argc, argv, "--size", 0);
  uint64_t value = number_option(&argc, argv, "--value", 1), rounds = number_option(&argc, argv, "--rounds", 1);
  uint64_t count = number_option(&argc, argv, "--count", UINT64_MAX);
  uint64_t compute_us = number_option(&argc, argv, "--compute-us", 0);
  bool raw = take_option(&argc, argv, "--raw", false) != NULL;
  bool read_first = take_option(&argc, argv, "--read-first", false) != NULL;
  bool wait = take_option(&argc, argv, "--wait", false) != NULL;
  bool linger = take_option(&argc, argv, "--linger", false) != NULL;
  no_more_options(argc, argv);
  if (argc != 5) die(EXIT_USAGE, "usage: touch DS PAGES read|write|add seq|back|random|stride=N [OPTION]…");
  uint64_t pages = number(argv[2], "PAGES");
  char access = argv[3][0];
  if (access != 'r' && access != 'w' && access != 'a') die(EXIT_USAGE, "access '%s': read, write or add", argv[3]);
  if (pages < 1 || pages > 1 << 19) die(EXIT_USAGE, "PAGES: 1 to 524288");
  struct mapping shared = {.ds = {.size_bytes = (first + pages) * ODONATA_PAGE}};
  if (strcmp(argv[1], "-") != 0) {
    shared = map_dataspace(argv[1], size, access == 'r' ? ODONATA_READ : ODONATA_READ_WRITE);
  } else {
    shared.base = odonata_reserve(shared.ds.size_bytes);
    if (shared.base == NULL) die(EXIT_CALL, "out of memory");
  }
  if ((first + pages) * ODONATA_PAGE > odonata_round_up(shared.ds.size_bytes)) die(EXIT_USAGE, "PAGES: too many");
  uint32_t *order = order_pages(argv[4], (uint32_t)pages);
  uint64_t *access_ns = malloc(pages * sizeof *access_ns);
  uint64_t *sorted_ns = malloc(pages * sizeof *sorted_ns);
  if (access_ns == NULL || sorted_ns == NULL) die(EXIT_CALL, "out of memory");
  memset(access_ns, 0, pages * sizeof *access_ns); /* Our own first touches come before, not between. */
  if (count > pages) count = pages;
  for (uint64_t i = 0; read_first && i < count; i++) {
    (void)*(volatile uint32_t *)(shared.base + (first + order[i]) * ODONATA_PAGE);
  }
  uint64_t clock_ns = clock_cost_ns();
  if (wait) {
    printf("{\"ready\":true}\n");
    fflush(stdout);
    getchar();
  }
  for (uint64_t round = 0; round < rounds; round++) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
      volatile uint32_t *word = (volatile uint32_t *)(shared.base + (first + order[i]) * ODONATA_PAGE);
      compute(compute_us);
      uint64_t begin_ns = now_ns();
      if (access == 'r') sum += *word;
      else if (access == 'w') *word = (uint32_t)value;
      else sum += __atomic_fetch_add((uint32_t *)word, (uint32_t)value, __ATOMIC_SEQ_CST);
      access_ns[i] = now_ns() - begin_ns;
    }
    memcpy(sorted_ns, access_ns, count * sizeof *access_ns);
    printf("{\"access\":\"%s\",\"order\":\"%s\",\"pages\":%" PRIu64 ",\"clock_ns\":%" PRIu64 ",", argv[3], argv[4], count,
           clock_ns);
    print_latencies("access_ns", sorted_ns, count);
    printf(",\"sum\":%" PRIu64, sum);
    for (uint64_t i = 0; raw && i < count; i++) printf("%s%" PRIu64, i == 0 ? ",\"raw\":[" : ",", access_ns[i]);
    printf("%s}\n", raw ? "]" : "");
  }
  fflush(stdout);
  while (linger && getchar() != EOF) continue;
  return 0;
}
