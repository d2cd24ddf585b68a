/*
 * history: operations on shared objects, and a record of each for a checker.
 *
 *   history DS OBJECTS OPS SEED WORKER FILE [--pause-us N]
 *
 * A third of the OBJECTS are registers (write, read, compare-and-swap, by atomics), a third counters (atomic addition),
 * the others queues of 16 places (put and take, under a range lock).  Each lives in a block of 2 MiB of its own, so in
 * whatever shard.  FILE gets a line before and after each operation, written at once: who dies leaves its last
 * operation open.  Where FILE is - they go to the standard output, and nothing else does.
 *
 *   b ID OBJECT OP ARGUMENT ARGUMENT NS       ID counts up; OP is read, write, swap, add, put or take
 *   e ID RESULT NS                            put: 1 done, 0 full; take: the value, 0 empty; others: the word before
 *
 * Values are WORKER * 1000000 + ID, so none is written twice.  Prints {"ops":N}.
 */
#include <fcntl.h>
#include <unistd.h>

#include "guest.h"

enum { STRIDE = 2 << 20, PLACES = 16 };

struct queue {
  uint32_t head, tail;
  uint32_t items[PLACES];
};

static int file;

static void line(const char *text, int length) {
  if (write(file, text, (size_t)length) != length) die(EXIT_CALL, "cannot write the history");
}

static void begin(uint64_t id, uint64_t object, const char *op, uint32_t a, uint32_t b) {
  char text[128];
  line(text, snprintf(text, sizeof text, "b %" PRIu64 " %" PRIu64 " %s %" PRIu32 " %" PRIu32 " %" PRIu64 "\n", id,
                      object, op, a, b, now_ns()));
}

static void end(uint64_t id, uint32_t result) {
  char text[96];
  uint64_t at_ns = now_ns();
  line(text, snprintf(text, sizeof text, "e %" PRIu64 " %" PRIu32 " %" PRIu64 "\n", id, result, at_ns));
}

static uint32_t on_queue(struct mapping *shared, uint64_t at, bool put, uint32_t value) {
  volatile struct queue *queue = (volatile struct queue *)(shared->base + at);
  must(odonata_lock(shared->ds.id, at, at + sizeof *queue - 1, ODONATA_LOCK_MODIFYING, -1), "lock");
  uint32_t result = 0;
  if (put && queue->tail - queue->head < PLACES) {
    queue->items[queue->tail % PLACES] = value;
    queue->tail = queue->tail + 1; /* Last: who dies before this has put nothing. */
    result = 1;
  } else if (!put && queue->head != queue->tail) {
    result = queue->items[queue->head % PLACES];
    queue->head = queue->head + 1;
  }
  must(odonata_unlock(shared->ds.id, at, at + sizeof *queue - 1), "unlock");
  return result;
}

int main(int argc, char **argv) {
  uint64_t pause_us = number_option(&argc, argv, "--pause-us", 2000);
  no_more_options(argc, argv);
  if (argc != 7) die(EXIT_USAGE, "usage: history DS OBJECTS OPS SEED WORKER FILE [--pause-us N]");
  uint64_t objects = number(argv[2], "OBJECTS"), ops = number(argv[3], "OPS"), worker = number(argv[5], "WORKER");
  uint64_t random = number(argv[4], "SEED") * 2 + 1;
  bool aside = strcmp(argv[6], "-") != 0;
  file = aside ? open(argv[6], O_WRONLY | O_CREAT | O_TRUNC, 0600) : STDOUT_FILENO;
  if (file < 0) die(EXIT_CALL, "cannot open %s", argv[6]);
  struct mapping shared = map_dataspace(argv[1], objects * STRIDE, ODONATA_READ_WRITE);
  for (uint64_t id = 1; id <= ops; id++) {
    uint64_t object = next_random(&random) % objects, at = object * STRIDE;
    uint32_t *word = (uint32_t *)(shared.base + at), value = (uint32_t)(worker * 1000000 + id), result;
    uint64_t chance = next_random(&random) % 100;
    if (object % 3 == 0 && chance < 50) {
      begin(id, object, "read", 0, 0);
      result = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    } else if (object % 3 == 0 && chance < 80) {
      begin(id, object, "write", value, 0);
      result = __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
    } else if (object % 3 == 0) {
      uint32_t expected = __atomic_load_n(word, __ATOMIC_SEQ_CST);
      begin(id, object, "swap", expected, value);
      __atomic_compare_exchange_n(word, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
      result = expected;
    } else if (object % 3 == 1) {
      uint32_t by = (uint32_t)(chance % 7 + 1);
      begin(id, object, "add", by, 0);
      result = __atomic_fetch_add(word, by, __ATOMIC_SEQ_CST);
    } else {
      bool put = chance < 55;
      begin(id, object, put ? "put" : "take", put ? value : 0, 0);
      result = on_queue(&shared, at, put, value);
    }
    end(id, result);
    struct timespec pause = {0, (long)(next_random(&random) % (2 * pause_us + 1)) * 1000};
    nanosleep(&pause, NULL);
  }
  if (aside) printf("{\"ops\":%" PRIu64 "}\n", ops);
  return 0;
}
