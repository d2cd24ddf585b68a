/*
 * queue: a queue between two processes, in a dataspace.
 *
 *   queue DS put COUNT     so many items of 64 bytes, which wait for room
 *   queue DS take COUNT    takes as many, and checks each
 *
 * Both print {} when they are ready and begin at a line on standard input; the end is told by {"count","ns"}. Each side wakes the other
 * after 64 items.
 */
#include "guest.h"

enum { SLOTS = 4096, BATCH = 64, WAIT_NS = 1000000000 };

struct item {
  uint64_t number;
  uint64_t rest[7];
};

/** What one side writes and the other one reads has pages of its own. */
struct queue {
  uint32_t put;
  char apart[ODONATA_PAGE - sizeof(uint32_t)];
  uint32_t taken;
  char also_apart[ODONATA_PAGE - sizeof(uint32_t)];
  struct item items[SLOTS];
};

static void wait_while(uint32_t *word, uint32_t value) {
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value) {
    int32_t result = odonata_wait32(word, value, WAIT_NS);
    if (result != ODONATA_EAGAIN && result != ODONATA_ETIMEDOUT) must(result, "wait32");
  }
}

static void tell(uint32_t *word, uint32_t value, uint64_t count) {
  bool batch = value % BATCH == 0 || value == count;
  if (!batch) return;
  __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
  uint32_t woken;
  must(odonata_wake(word, 1, &woken), "wake");
}

int main(int argc, char **argv) {
  if (argc != 4) die(EXIT_USAGE, "usage: queue DS put|take COUNT");
  bool putting = strcmp(argv[2], "put") == 0;
  if (!putting && strcmp(argv[2], "take") != 0) die(EXIT_USAGE, "%s: put or take", argv[2]);
  uint64_t count = number(argv[3], "COUNT");
  if (count < 1 || count > UINT32_MAX / 2) die(EXIT_USAGE, "COUNT: 1 to 2147483647");
  struct mapping shared = map_dataspace(argv[1], sizeof(struct queue), ODONATA_READ_WRITE);
  struct queue *queue = (struct queue *)shared.base;
  puts("{}");
  fflush(stdout);
  if (getchar() == EOF) return 0;
  uint64_t begin_ns = now_ns();
  uint32_t other = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct item *item = &queue->items[i % SLOTS];
    if (putting) {
      while (i - other >= SLOTS) {
        wait_while(&queue->taken, other);
        other = __atomic_load_n(&queue->taken, __ATOMIC_SEQ_CST);
      }
      item->number = i;
      tell(&queue->put, i + 1, count);
    } else {
      if (other == i) {
        wait_while(&queue->put, other);
        other = __atomic_load_n(&queue->put, __ATOMIC_SEQ_CST);
      }
      if (item->number != i) die(EXIT_CHECK, "item %u is %u", (unsigned)i, (unsigned)item->number);
      tell(&queue->taken, i + 1, count);
    }
  }
  printf("{\"count\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n", count, now_ns() - begin_ns);
  return 0;
}
