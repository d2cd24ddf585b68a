/*
 * meet: processes at a barrier, generation after generation.
 *
 *   meet DS MEMBER MEMBERS GENERATIONS [--blind] [--name N] [--timeout-ms N]
 *
 * Before each generation a process writes how many it came to, in a page of its own; after it no other's is behind, or
 * more than one ahead.  --blind touches no memory.  Prints {"met":N} after a tenth of the generations each, and at the
 * end {"passed","wrong","errno",latencies}; `errno` is what ended it.
 */
#include "guest.h"

enum { MEMBERS_MAX = 64, PAGE = 4096 };

int main(int argc, char **argv) {
  bool blind = take_option(&argc, argv, "--blind", false) != NULL;
  int64_t name = (int64_t)number_option(&argc, argv, "--name", 0);
  const char *timeout = take_option(&argc, argv, "--timeout-ms", true);
  int64_t timeout_ms = timeout == NULL ? -1 : signed_number(timeout, "--timeout-ms");
  no_more_options(argc, argv);
  if (argc != 5) die(EXIT_USAGE, "usage: meet DS MEMBER MEMBERS GENERATIONS [--blind] [--name N] [--timeout-ms N]");
  uint64_t member = number(argv[2], "MEMBER"), members = number(argv[3], "MEMBERS");
  uint64_t generations = number(argv[4], "GENERATIONS");
  if (members < 1 || members > MEMBERS_MAX || member >= members) die(EXIT_USAGE, "MEMBER: below MEMBERS, 1 to 64");
  struct mapping shared = map_dataspace(argv[1], MEMBERS_MAX * PAGE, ODONATA_READ_WRITE);
  uint64_t *latencies = malloc((generations + 1) * sizeof *latencies);
  if (latencies == NULL) die(EXIT_CALL, "no memory for %" PRIu64 " latencies", generations);
  uint64_t passed = 0, wrong = 0, tenth = generations / 10 + 1;
  int32_t result = 0;
  while (passed < generations) {
    if (!blind) __atomic_store_n((uint64_t *)(shared.base + member * PAGE), passed + 1, __ATOMIC_SEQ_CST);
    uint64_t begin_ns = now_ns();
    result = odonata_barrier(shared.ds.id, name, (uint32_t)members, passed, timeout_ms);
    if (result != 0) break;
    latencies[passed++] = now_ns() - begin_ns;
    for (uint64_t other = 0; !blind && other < members; other++) {
      uint64_t came = __atomic_load_n((uint64_t *)(shared.base + other * PAGE), __ATOMIC_SEQ_CST);
      if (came < passed || came > passed + 1) wrong++;
    }
    if (passed % tenth == 0) {
      printf("{\"met\":%" PRIu64 "}\n", passed);
      fflush(stdout);
    }
  }
  printf("{\"passed\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"errno\":%d,", passed, wrong, (int)result);
  print_latencies("barrier", latencies, passed);
  printf("}\n");
  return wrong == 0 ? 0 : EXIT_CHECK;
}
