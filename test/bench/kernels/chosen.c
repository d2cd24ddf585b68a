/*
 * chosen: touches pages of a dataspace that lie far apart, in an order by chance, each for the first time: each is a fault.
 *
 *   chosen DS SLOTS STRIDE COUNT SEED     COUNT of SLOTS pages, STRIDE pages apart, as SEED says
 *
 * The first word of a page must be what its slot and SEED say; its second word is then made the complement of that.
 * Prints {"wrong","read":{...}}, the latencies of the first touches in ns; the exit code is 1 if a word was wrong.
 */
#include "../../guests/guest.h"

int main(int argc, char **argv) {
  no_more_options(argc, argv);
  if (argc != 6) die(EXIT_USAGE, "usage: chosen DS SLOTS STRIDE COUNT SEED");
  uint64_t slots = number(argv[2], "SLOTS"), stride = number(argv[3], "STRIDE"), count = number(argv[4], "COUNT"),
           seed = number(argv[5], "SEED"), state = seed;
  if (seed == 0 || count == 0 || count > slots) die(EXIT_USAGE, "COUNT: 1 to SLOTS; SEED: not 0");
  uint32_t *order = malloc(slots * sizeof *order);
  uint64_t *took_ns = malloc(count * sizeof *took_ns);
  if (order == NULL || took_ns == NULL) die(EXIT_CALL, "no memory");
  for (uint64_t i = 0; i < slots; i++) order[i] = (uint32_t)i;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t other = i + next_random(&state) % (slots - i);
    uint32_t slot = order[other];
    order[other] = order[i];
    order[i] = slot;
    took_ns[i] = 0;
  }
  struct mapping shared = map_dataspace(argv[1], 0, ODONATA_READ_WRITE);
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < count; i++) {
    volatile uint64_t *words = (volatile uint64_t *)(shared.base + order[i] * stride * ODONATA_PAGE);
    uint64_t begin_ns = now_ns(), word = words[0];
    took_ns[i] = now_ns() - begin_ns;
    wrong += word != (order[i] + 1) * 0x9e3779b97f4a7c15u + seed;
  }
  for (uint64_t i = 0; i < count; i++) {
    volatile uint64_t *words = (volatile uint64_t *)(shared.base + order[i] * stride * ODONATA_PAGE);
    words[1] = ~words[0];
  }
  printf("{\"wrong\":%" PRIu64 ",", wrong);
  print_latencies("read", took_ns, count);
  printf("}\n");
  return wrong > 0 ? EXIT_CHECK : 0;
}
