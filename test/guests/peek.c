/*
 * peek: reads or writes single words of a dataspace.
 *
 *   peek DS OFFSET [COUNT]             COUNT (default 1) words of 32 bits, as {"offset","words":[…]}
 *   peek DS OFFSET --write VALUE...    writes them, one after another
 *   --durable makes it with a backing store; --sync stores what was written before it ends.
 *   --size BYTES creates the dataspace where it is missing; --every-ms N repeats the reading for ever.
 */
#include "guest.h"

int main(int argc, char **argv) {
  uint64_t size = number_option(&argc, argv, "--size", 0), every_ms = number_option(&argc, argv, "--every-ms", 0);
  bool writing = take_option(&argc, argv, "--write", false) != NULL;
  bool syncing = take_option(&argc, argv, "--sync", false) != NULL;
  bool durable = take_option(&argc, argv, "--durable", false) != NULL;
  no_more_options(argc, argv);
  if (argc < 3) die(EXIT_USAGE, "usage: peek DS OFFSET [COUNT] | peek DS OFFSET --write VALUE...");
  uint64_t offset = number(argv[2], "OFFSET"), count = 1;
  if (writing) count = (uint64_t)argc - 3;
  else if (argc == 4) count = number(argv[3], "COUNT");
  struct odonata_dataspace made;
  int32_t flags = ODONATA_OPEN_CREATE | ODONATA_OPEN_DURABLE;
  if (durable) must(odonata_ds_open(argv[1], (uint32_t)strlen(argv[1]), size, flags, &made), "ds_open");
  struct mapping shared = map_dataspace(argv[1], size, writing ? ODONATA_READ_WRITE : ODONATA_READ);
  if (offset % 4 != 0 || offset + count * 4 > shared.ds.size_bytes) die(EXIT_USAGE, "OFFSET: unaligned or too large");
  uint32_t *words = (uint32_t *)(shared.base + offset);
  for (uint64_t i = 0; writing && i < count; i++) {
    __atomic_store_n(words + i, (uint32_t)number(argv[3 + i], "VALUE"), __ATOMIC_SEQ_CST);
  }
  if (syncing) must(odonata_sync(shared.ds.id, offset, count * 4), "sync");
  do {
    printf("{\"offset\":%" PRIu64 ",\"words\":[", offset);
    for (uint64_t i = 0; i < count; i++) {
      printf("%s%u", i == 0 ? "" : ",", (unsigned)__atomic_load_n(words + i, __ATOMIC_SEQ_CST));
    }
    printf("]}\n");
    fflush(stdout);
    struct timespec pause = {(time_t)(every_ms / 1000), (long)(every_ms % 1000) * 1000000};
    if (every_ms > 0) nanosleep(&pause, NULL);
  } while (every_ms > 0);
  return 0;
}
