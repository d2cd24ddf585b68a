/*
 * stream: sequential throughput of a mapped dataspace.
 *
 *   stream DS read [MIB]      reads every word, one after another (default: the whole dataspace)
 *   stream DS write MIB       fills it (created with that size where it is missing)
 *
 * Prints {"mode","bytes","ns","mib_per_s","checksum"}; what `write` wrote and `read` read have the same checksum.
 */
#include "guest.h"

int main(int argc, char **argv) {
  if (argc < 3) die(EXIT_USAGE, "usage: stream DS read [MIB] | stream DS write MIB");
  bool writing = strcmp(argv[2], "write") == 0;
  if (!writing && strcmp(argv[2], "read") != 0) die(EXIT_USAGE, "%s: use read or write", argv[2]);
  if (writing && argc != 4) die(EXIT_USAGE, "write needs MIB");
  uint64_t bytes = argc > 3 ? number(argv[3], "MIB") << 20 : 0;
  struct mapping shared = map_dataspace(argv[1], writing ? bytes : 0, writing ? ODONATA_READ_WRITE : ODONATA_READ);
  if (bytes == 0) bytes = shared.ds.size_bytes / 8 * 8;
  if (bytes > shared.ds.size_bytes) die(EXIT_USAGE, "MIB: larger than the dataspace");
  volatile uint64_t *words = (volatile uint64_t *)shared.base;
  uint64_t checksum = 0, begin_ns = now_ns();
  for (uint64_t i = 0; i < bytes / 8; i++) {
    uint64_t value = (i + 1) * 0x9e3779b97f4a7c15u;
    if (writing) words[i] = value;
    else value = words[i];
    checksum = checksum * 31 + value;
  }
  uint64_t ns = now_ns() - begin_ns;
  printf("{\"mode\":\"%s\",\"bytes\":%" PRIu64 ",\"ns\":%" PRIu64 ",\"mib_per_s\":%.1f,\"checksum\":\"%016" PRIx64 "\"}\n",
         argv[2], bytes, ns, (double)bytes / (1 << 20) / ((double)ns / 1e9), checksum);
  return 0;
}
