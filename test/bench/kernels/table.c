/*
 * table: a table of records that many read while one changes it.
 *
 *   table DS ACKS write RATE SECONDS     changes RATE records a second, at random, by the clock: late ones are made up for
 *   table DS ACKS read SECONDS           reads records at random
 *   table DS ACKS wake RATE SECONDS      changes nothing: wakes up as often as a writer of that rate
 *   table DS ACKS cold COUNT             reads so many records at random, of pages that were not touched before
 *
 * A record has a sequence lock: odd while it is changed. The writer tells in ACKS which record has got how far, after that
 * is done: whoever reads that first, and then the record, must find it so.  --wait prints {"ready":true} once all pages of
 * the table were touched, and goes on at the first byte of standard input.
 *
 * write prints {"writes_per_s","p50_us","p99_us"}, wake the same of how late it woke up, read prints
 * {"reads_per_s","torn","old","checks"}: what was torn or old was wrong; cold prints {"took_us","torn"}.
 */
#include "guest.h"

enum { RECORDS = 100000, WORDS = 15, BATCH = 256 };
static const uint64_t CHECK_EVERY_NS = 100000000, SECOND_NS = 1000000000;

struct record {
  uint32_t seq;
  uint32_t words[WORDS];
};

/** The record in the upper half, how far it has got in the lower one. */
typedef uint64_t ack;

static uint64_t random_state = 88172645463325252u;

static struct record *any(struct record *table) { return &table[next_random(&random_state) % RECORDS]; }

static void change(struct record *record) {
  uint32_t seq = __atomic_add_fetch(&record->seq, 1, __ATOMIC_SEQ_CST);
  for (int i = 0; i < WORDS; i++) __atomic_store_n(&record->words[i], seq, __ATOMIC_RELAXED);
  __atomic_add_fetch(&record->seq, 1, __ATOMIC_SEQ_CST);
}

static uint64_t *times(uint64_t most) {
  uint64_t *times_ns = malloc((most + 1) * sizeof *times_ns);
  if (times_ns == NULL) die(EXIT_CALL, "out of memory");
  return times_ns;
}

static void tell(uint64_t *times_ns, uint64_t count, uint64_t took_ns) {
  qsort(times_ns, count, sizeof *times_ns, by_u64);
  printf("{\"writes_per_s\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", (double)count * (double)SECOND_NS / (double)took_ns,
         count == 0 ? 0 : (double)times_ns[count / 2] / 1e3, count == 0 ? 0 : (double)times_ns[count * 99 / 100] / 1e3);
}

/** @returns the time by then */
static uint64_t pause_ns(uint64_t ns) {
  struct timespec pause = {.tv_nsec = (long)ns};
  nanosleep(&pause, NULL);
  return now_ns();
}

static void write_table(struct record *table, ack *acks, uint64_t rate, uint64_t seconds) {
  uint64_t most = rate * seconds, done = 0;
  uint64_t *took_ns = times(most);
  uint64_t begin_ns = now_ns(), end_ns = begin_ns + seconds * SECOND_NS;
  while (done < most) {
    uint64_t due_ns = begin_ns + done * SECOND_NS / rate, at_ns = now_ns();
    if (at_ns >= end_ns) break;
    if (at_ns < due_ns) at_ns = pause_ns(due_ns - at_ns);
    struct record *record = any(table);
    change(record);
    took_ns[done++] = now_ns() - at_ns;
    __atomic_store_n(acks, (uint64_t)(record - table) << 32 | record->seq, __ATOMIC_SEQ_CST);
  }
  tell(took_ns, done, now_ns() - begin_ns);
}

static void wake_up(uint64_t rate, uint64_t seconds) {
  uint64_t most = rate * seconds, done = 0, period_ns = SECOND_NS / rate;
  uint64_t *late_ns = times(most);
  uint64_t begin_ns = now_ns(), end_ns = begin_ns + seconds * SECOND_NS;
  for (uint64_t at_ns = begin_ns; done < most && at_ns < end_ns; done++) {
    uint64_t due_ns = at_ns + period_ns;
    at_ns = pause_ns(period_ns);
    late_ns[done] = at_ns - due_ns;
  }
  tell(late_ns, done, now_ns() - begin_ns);
}

/**
 * Reads one whole. Its words are loaded by atomic loads, which stay in order and cost no more than others: a fence here is
 * `mfence` on x86, which takes longer than all the rest.
 * @returns its sequence number; *torn: it was half of one, half of another
 */
static uint32_t read_record(const struct record *record, bool *torn) {
  uint32_t seq, first, last;
  do {
    seq = __atomic_load_n(&record->seq, __ATOMIC_SEQ_CST);
    first = __atomic_load_n(&record->words[0], __ATOMIC_ACQUIRE);
    last = __atomic_load_n(&record->words[WORDS - 1], __ATOMIC_ACQUIRE);
  } while ((seq & 1) != 0 || seq != __atomic_load_n(&record->seq, __ATOMIC_SEQ_CST));
  *torn = first != last || (seq != 0 && first != seq - 1);
  return seq;
}

static void read_table(struct record *table, ack *acks, uint64_t seconds) {
  uint64_t begin_ns = now_ns(), end_ns = begin_ns + seconds * SECOND_NS, check_ns = begin_ns;
  uint64_t reads = 0, torn = 0, old = 0, checks = 0;
  for (uint64_t at_ns = begin_ns; at_ns < end_ns; at_ns = now_ns()) {
    bool is_torn;
    if (at_ns >= check_ns) {
      uint64_t told = __atomic_load_n(acks, __ATOMIC_SEQ_CST);
      if (read_record(&table[told >> 32], &is_torn) < (uint32_t)told) old++;
      check_ns = at_ns + CHECK_EVERY_NS;
      checks++;
    }
    for (int i = 0; i < BATCH; i++) {
      read_record(any(table), &is_torn);
      torn += is_torn;
    }
    reads += BATCH;
  }
  printf("{\"reads_per_s\":%.0f,\"torn\":%" PRIu64 ",\"old\":%" PRIu64 ",\"checks\":%" PRIu64 "}\n",
         (double)reads / ((double)(now_ns() - begin_ns) / (double)SECOND_NS), torn, old, checks);
}

static void read_cold(struct record *table, uint64_t count) {
  uint64_t begin_ns = now_ns(), torn = 0;
  for (uint64_t i = 0; i < count; i++) {
    bool is_torn;
    read_record(any(table), &is_torn);
    torn += is_torn;
  }
  printf("{\"took_us\":%.1f,\"torn\":%" PRIu64 "}\n", (double)(now_ns() - begin_ns) / 1e3, torn);
}

int main(int argc, char **argv) {
  bool wait = take_option(&argc, argv, "--wait", false) != NULL;
  no_more_options(argc, argv);
  bool wakes = argc == 6 && strcmp(argv[3], "wake") == 0;
  bool writes = wakes || (argc == 6 && strcmp(argv[3], "write") == 0);
  bool cold = argc == 5 && strcmp(argv[3], "cold") == 0;
  if (!writes && !cold && (argc != 5 || strcmp(argv[3], "read") != 0))
    die(EXIT_USAGE, "usage: table DS ACKS write|wake RATE SECONDS | table DS ACKS read SECONDS | table DS ACKS cold COUNT");
  uint64_t rate = writes ? number(argv[4], "RATE") : 1, seconds = number(argv[argc - 1], "SECONDS");
  if (rate < 1 || rate > 1000000 || seconds < 1 || (!cold && seconds > 3600)) die(EXIT_USAGE, "RATE or SECONDS: too much or none");
  struct mapping table = map_dataspace(argv[1], RECORDS * sizeof(struct record), ODONATA_READ_WRITE);
  struct mapping acks = map_dataspace(argv[2], ODONATA_PAGE, ODONATA_READ_WRITE);
  for (uint32_t i = 0; !cold && i < RECORDS; i++) (void)((volatile struct record *)table.base)[i].seq;
  random_state += now_ns();
  if (wait) {
    printf("{\"ready\":true}\n");
    fflush(stdout);
    if (getchar() == EOF) return 0;
  }
  if (cold) read_cold((struct record *)table.base, seconds);
  else if (wakes) wake_up(rate, seconds);
  else if (writes) write_table((struct record *)table.base, (ack *)acks.base, rate, seconds);
  else read_table((struct record *)table.base, (ack *)acks.base, seconds);
  return 0;
}
