/*
 * rangelock: takes a range lock, and holds it as asked.
 *
 *   rangelock DS BEGIN END MODE TIMEOUT_MS [--hold-ms N | --hold] [--dirty PAGES] [--value V] [--size BYTES]
 *
 * MODE is shared, exclusive or modifying; BEGIN and END, which is inclusive, may be negative; TIMEOUT_MS below 0 waits for ever, 0 only tries.  Prints
 * {"locked":bool,"errno","ns"} when the call returns.  Then writes V (default: its pid) to the first word of PAGES
 * pages, prints {"dirty":PAGES}, and with --hold goes on writing until it is killed.  Without --hold it unlocks and
 * prints {"unlocked":true}.  --size: of a dataspace to be created (default 1 MiB).
 */
#include "guest.h"

static void dirty(struct mapping *shared, uint64_t pages, uint32_t value) {
  for (uint64_t page = 0; page < pages; page++) {
    __atomic_store_n((uint32_t *)(shared->base + page * ODONATA_PAGE), value, __ATOMIC_SEQ_CST);
  }
}

int main(int argc, char **argv) {
  uint64_t hold_ms = number_option(&argc, argv, "--hold-ms", 0), pages = number_option(&argc, argv, "--dirty", 0);
  uint64_t value = number_option(&argc, argv, "--value", 0), size = number_option(&argc, argv, "--size", 1 << 20);
  bool for_ever = take_option(&argc, argv, "--hold", false) != NULL;
  no_more_options(argc, argv);
  if (argc != 6) die(EXIT_USAGE, "usage: rangelock DS BEGIN END MODE TIMEOUT_MS [--hold-ms N | --hold] [--dirty PAGES]");
  int64_t begin = signed_number(argv[2], "BEGIN"), end = signed_number(argv[3], "END");
  int32_t mode = lock_mode(argv[4]);
  int64_t timeout_ms = signed_number(argv[5], "TIMEOUT_MS");
  struct mapping shared = map_dataspace(argv[1], size, ODONATA_READ_WRITE);
  if (pages * ODONATA_PAGE > shared.ds.size_bytes) die(EXIT_USAGE, "--dirty: the dataspace has fewer pages");
  if (value == 0) value = (uint64_t)odonata_process_id();

  uint64_t asked_ns = now_ns();
  int32_t result = odonata_lock(shared.ds.id, begin, end, mode, timeout_ms);
  printf("{\"locked\":%s,\"errno\":%d,\"ns\":%" PRIu64 "}\n", result == 0 ? "true" : "false", (int)result,
         now_ns() - asked_ns);
  fflush(stdout);
  if (result != 0) return 0;
  if (pages > 0) {
    dirty(&shared, pages, (uint32_t)value);
    printf("{\"dirty\":%" PRIu64 "}\n", pages);
    fflush(stdout);
  }
  while (for_ever) dirty(&shared, pages, (uint32_t)value);
  if (hold_ms > 0) {
    struct timespec pause = {(time_t)(hold_ms / 1000), (long)(hold_ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
  }
  must(odonata_unlock(shared.ds.id, begin, end), "unlock");
  printf("{\"unlocked\":true}\n");
  return 0;
}
