/*
 * stream: sequential throughput of a mapped dataspace.
 *
 *   stream DS read [MIB]      reads every word, one after another (default: the whole dataspace)
 *   stream DS write MIB       fills it (created with that size where it is missing)
 *   --wait                    prints a line {} when it is mapped and its code is compiled, and begins at a line on
 *                             standard input
 *
 * Prints {"mode","bytes","ns","mib_per_s","checksum"}; what `write` wrote and `read` read have the same checksum.
 */
#include "guest.h"

enum { CHUNK_WORDS = 8192, WARM_UPS = 2000, WARM_UP_NS = 400000000 };

static volatile uint64_t warm[CHUNK_WORDS];

/** By chunks: a function that runs is not replaced by better code before it is called again. */
__attribute__((noinline)) static uint64_t pass(
    volatile uint64_t *words, uint64_t first, uint64_t count, bool writing, uint64_t checksum
) {
  for (uint64_t i = 0; i < count; i++) {
    uint64_t value = (first + i + 1) * 0x9e3779b97f4a7c15u;
    if (writing) words[i] = value;
    else value = words[i];
    checksum = checksum * 31 + value;
  }
  return checksum;
}

int main(int argc, char **argv) {
  bool waits = take_option(&argc, argv, "--wait", false) != NULL;
  no_more_options(argc, argv);
  if (argc < 3) die(EXIT_USAGE, "usage: stream DS read [MIB] | stream DS write MIB");
  bool writing = strcmp(argv[2], "write") == 0;
  if (!writing && strcmp(argv[2], "read") != 0) die(EXIT_USAGE, "%s: use read or write", argv[2]);
  if (writing && argc != 4) die(EXIT_USAGE, "write needs MIB");
  uint64_t bytes = argc > 3 ? number(argv[3], "MIB") << 20 : 0;
  struct mapping shared = map_dataspace(argv[1], writing ? bytes : 0, writing ? ODONATA_READ_WRITE : ODONATA_READ);
  if (bytes == 0) bytes = shared.ds.size_bytes / 8 * 8;
  if (bytes > shared.ds.size_bytes) die(EXIT_USAGE, "MIB: larger than the dataspace");
  volatile uint64_t *words = (volatile uint64_t *)shared.base;
  if (waits) {
    uint64_t begin_ns = now_ns();
    for (int i = 0; i < WARM_UPS || now_ns() - begin_ns < WARM_UP_NS; i++) (void)pass(warm, 0, CHUNK_WORDS, i % 2 == 0, 0);
    puts("{}");
    fflush(stdout);
    if (getchar() == EOF) return 0;
  }
  uint64_t checksum = 0, begin_ns = now_ns();
  for (uint64_t at = 0; at < bytes / 8; at += CHUNK_WORDS) {
    uint64_t words_left = bytes / 8 - at;
    checksum = pass(words + at, at, words_left < CHUNK_WORDS ? words_left : CHUNK_WORDS, writing, checksum);
  }
  uint64_t ns = now_ns() - begin_ns;
  printf("{\"mode\":\"%s\",\"bytes\":%" PRIu64 ",\"ns\":%" PRIu64 ",\"mib_per_s\":%.1f,\"checksum\":\"%016" PRIx64 "\"}\n",
         argv[2], bytes, ns, (double)bytes / (1 << 20) / ((double)ns / 1e9), checksum);
  fflush(stdout);
  // Until whoever measures has looked.
  while (waits && getchar() != EOF) continue;
  return 0;
}
