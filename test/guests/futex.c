/*
 * futex: wait and wake, step by step.
 *
 *   futex DS wait EXPECTED TIMEOUT_MS   sleeps while the word is EXPECTED (TIMEOUT_MS below 0: for ever)
 *   futex DS wake COUNT                 wakes up to COUNT sleepers (all: -1)
 *   futex DS set VALUE [COUNT]          writes the word and wakes
 *   futex DS get
 *
 * Prints {"call","errno","value","woken","ns"}; the exit code is 0 whatever errno is.  `wait` prints a line
 * {"waiting":true} first, so that a test knows when to wake (shortly after it).
 */
#include "guest.h"

enum { BYTES = 4096 };

int main(int argc, char **argv) {
  if (argc < 3) die(EXIT_USAGE, "usage: futex DS wait EXPECTED TIMEOUT_MS | wake COUNT | set VALUE [COUNT] | get");
  struct mapping shared = map_dataspace(argv[1], BYTES, ODONATA_READ_WRITE);
  uint32_t *word = (uint32_t *)shared.base;
  const char *call = argv[2];
  int32_t result = 0;
  uint32_t woken = 0;
  uint64_t begin_ns = now_ns();
  if (strcmp(call, "wait") == 0 && argc == 5) {
    uint32_t expected = (uint32_t)number(argv[3], "EXPECTED");
    int64_t timeout_ms = signed_number(argv[4], "TIMEOUT_MS");
    printf("{\"waiting\":true}\n");
    fflush(stdout);
    begin_ns = now_ns();
    result = odonata_wait32(word, expected, timeout_ms < 0 ? -1 : timeout_ms * 1000000);
  } else if (strcmp(call, "wake") == 0 && argc == 4) {
    result = odonata_wake(word, (uint32_t)signed_number(argv[3], "COUNT"), &woken);
  } else if (strcmp(call, "set") == 0 && (argc == 4 || argc == 5)) {
    __atomic_store_n(word, (uint32_t)number(argv[3], "VALUE"), __ATOMIC_SEQ_CST);
    result = odonata_wake(word, argc == 5 ? (uint32_t)signed_number(argv[4], "COUNT") : UINT32_MAX, &woken);
  } else if (strcmp(call, "get") != 0) {
    die(EXIT_USAGE, "futex: unknown call %s, or wrong number of arguments", call);
  }
  uint64_t end_ns = now_ns();
  printf("{\"call\":\"%s\",\"errno\":%d,\"value\":%u,\"woken\":%u,\"ns\":%" PRIu64 "}\n", call, (int)result,
         (unsigned)__atomic_load_n(word, __ATOMIC_SEQ_CST), (unsigned)woken, end_ns - begin_ns);
  return 0;
}
