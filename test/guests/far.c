/*
 * A dataspace that programs of two clusters map. Of each of its pages the first word and the last hold what was written last, the first
 * one written first.
 *
 *   far write NAME FROM TO PAUSE_MS LISTENER...
 *                                      writes FROM to TO; after each all listeners are told, and say that they see it
 *   far listen NAME LISTENER           says of each number that it is told whether each page holds it
 *   far watch NAME NUMBER MS           reads until that is in all pages, for so long at most: nothing may go back
 *   far look NAME read|write           maps it so, and reads a word of each page
 *   far alone NAME read|write          asks for what is each cluster's own: a store, which must be absent; to read: locks and barriers, refused
 *   far count NAME NUMBER              adds 1 to the first word so often, by a load and a store under a range lock
 *   far meet NAME COUNT ROUNDS         comes to a barrier of COUNT so often; all must have added 1 to the second word before it
 *   far turns NAME WHOSE ROUNDS        waits until the third word is of it, 0 or 1, adds 1, and wakes the other one
 *   far add NAME NUMBER PAUSE_MS       adds 1 to the first word of each page so often, and says what was there at last
 */
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

#define WORDS 1024

static volatile uint32_t *words;
static uint32_t pages;

static void open_it(const char *name, int32_t prot) {
  struct odonata_dataspace ds;
  void *base;
  must(odonata_ds_open(name, strlen(name), 0, 0, &ds), "ds_open");
  must(odonata_ds_map_whole(&ds, prot, &base), "ds_map");
  words = base;
  pages = ds.size_bytes / (WORDS * 4);
}

static uint32_t first(uint32_t page) { return __atomic_load_n(&words[page * WORDS], __ATOMIC_SEQ_CST); }
static uint32_t last(uint32_t page) {
  return __atomic_load_n(&words[page * WORDS + WORDS - 1], __ATOMIC_SEQ_CST);
}

static void write_all(uint32_t number) {
  for (uint32_t page = 0; page < pages; page++) {
    __atomic_store_n(&words[page * WORDS], number, __ATOMIC_SEQ_CST);
    __atomic_store_n(&words[page * WORDS + WORDS - 1], number, __ATOMIC_SEQ_CST);
  }
}

static void read_word(int fd, uint32_t *out) {
  size_t got = 0;
  while (got < sizeof *out) {
    ssize_t part = read(fd, (char *)out + got, sizeof *out - got);
    if (part <= 0) die(EXIT_CALL, "the connection ended");
    got += part;
  }
}

static void writer(const char *name, uint32_t from, uint32_t to, uint32_t pause_ms, int listeners, char **names) {
  unsigned fds[8];
  uint64_t longest = 0;
  open_it(name, ODONATA_READ_WRITE);
  for (int i = 0; i < listeners; i++) must(odonata_connect_name(names[i], strlen(names[i]), 10000, &fds[i]), names[i]);
  uint64_t begin = now_ns();
  for (uint32_t number = from; number <= to; number++) {
    uint64_t at = now_ns();
    write_all(number);
    uint64_t took = now_ns() - at;
    if (took > longest) longest = took;
    for (int i = 0; i < listeners; i++) write(fds[i], &number, sizeof number);
    for (int i = 0; i < listeners; i++) {
      uint32_t seen;
      read_word(fds[i], &seen);
      if (seen != number) die(EXIT_CHECK, "%s saw %u, not %u", names[i], seen, number);
    }
    usleep(pause_ms * 1000);
  }
  printf("{\"writes\":%u,\"ns\":%" PRIu64 ",\"longestNs\":%" PRIu64 "}\n", to - from + 1, now_ns() - begin, longest);
}

static void listener(const char *name, const char *by) {
  unsigned fd;
  uint32_t number;
  open_it(name, ODONATA_READ);
  must(odonata_listen(by, strlen(by), 4, ODONATA_LISTEN_EVERYONE, &fd), "listen");
  printf("{\"listens\":true}\n");
  fflush(stdout);
  int caller = accept(fd, NULL, NULL);
  if (caller < 0) die(EXIT_CALL, "accept failed");
  while (read(caller, &number, sizeof number) == sizeof number) {
    uint32_t seen = number;
    for (uint32_t page = 0; page < pages; page++)
      if (first(page) != number || last(page) != number) seen = first(page);
    write(caller, &seen, sizeof seen);
  }
}

static void watcher(const char *name, uint32_t number, uint64_t ms) {
  uint64_t reads = 0, end = now_ns() + ms * 1000000;
  open_it(name, ODONATA_READ);
  uint32_t *before = calloc(pages, sizeof *before);
  for (uint32_t least = 0; least < number && now_ns() < end;) {
    least = number;
    for (uint32_t page = 0; page < pages; page++) {
      uint32_t older = last(page), newer = first(page);
      if (older < before[page] || newer < older)
        die(EXIT_CHECK, "page %u: %u and %u after %u", page, newer, older, before[page]);
      before[page] = newer;
      if (older < least) least = older;
      reads++;
    }
  }
  printf("{\"reads\":%" PRIu64 ",\"last\":%u}\n", reads, before[0]);
}

static void look(const char *name, bool writes) {
  uint64_t sum = 0;
  open_it(name, writes ? ODONATA_READ_WRITE : ODONATA_READ);
  uint64_t begin = now_ns(), first_ns = 0;
  for (uint32_t page = 0; page < pages; page++) {
    sum += first(page);
    if (page == 0) first_ns = now_ns() - begin;
  }
  printf("{\"sum\":%" PRIu64 ",\"firstNs\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n", sum, first_ns, now_ns() - begin);
}

static void add(const char *name, uint32_t number, uint32_t pause_ms) {
  uint64_t longest = 0;
  uint32_t was = 0;
  open_it(name, ODONATA_READ_WRITE);
  uint64_t begin = now_ns();
  for (uint32_t i = 0; i < number; i++) {
    uint64_t at = now_ns();
    for (uint32_t page = 0; page < pages; page++) {
      uint32_t before = __atomic_fetch_add(&words[page * WORDS], 1, __ATOMIC_SEQ_CST);
      if (page == 0 && i > 0 && before <= was) die(EXIT_CHECK, "%u after %u", before, was);
      if (page == 0) was = before;
    }
    uint64_t took = now_ns() - at;
    if (took > longest) longest = took;
    usleep(pause_ms * 1000);
  }
  printf("{\"adds\":%u,\"last\":%u,\"ns\":%" PRIu64 ",\"longestNs\":%" PRIu64 "}\n", number, was + 1, now_ns() - begin, longest);
}

static void refused(int32_t errno_, int32_t expected, const char *what) {
  if (errno_ != expected) die(EXIT_CHECK, "%s: errno %d", what, errno_);
}

static void alone(const char *name, int32_t prot) {
  struct odonata_dataspace ds;
  void *base;
  must(odonata_ds_open(name, strlen(name), 0, 0, &ds), "ds_open");
  must(odonata_ds_map_whole(&ds, prot, &base), "ds_map");
  uint32_t *word = base;
  refused(odonata_sync(ds.id, 0, 0), ODONATA_ENOSYS, "sync");
  if (prot == ODONATA_READ) {
    refused(odonata_lock(ds.id, 0, 7, ODONATA_LOCK_SHARED, 1000), ODONATA_EACCES, "lock shared");
    refused(odonata_lock(ds.id, 0, 7, ODONATA_LOCK_EXCLUSIVE, 1000), ODONATA_EACCES, "lock");
    refused(odonata_barrier(ds.id, 1, 1, 0, 1000), ODONATA_EACCES, "barrier");
    refused(odonata_wait32(word, *word, 1000000), ODONATA_ETIMEDOUT, "wait32");
  }
  printf("{\"refused\":true}\n");
}

static struct odonata_dataspace open_id(const char *name) {
  struct odonata_dataspace ds;
  void *base;
  must(odonata_ds_open(name, strlen(name), 0, 0, &ds), "ds_open");
  must(odonata_ds_map_whole(&ds, ODONATA_READ_WRITE, &base), "ds_map");
  words = base;
  return ds;
}

static void count(const char *name, uint32_t number) {
  struct odonata_dataspace ds = open_id(name);
  uint64_t longest = 0;
  for (uint32_t i = 0; i < number; i++) {
    uint64_t at = now_ns();
    must(odonata_lock(ds.id, 0, 3, ODONATA_LOCK_EXCLUSIVE, -1), "lock");
    uint32_t was = words[0];
    usleep(2000);
    words[0] = was + 1;
    must(odonata_unlock(ds.id, 0, 3), "unlock");
    if (now_ns() - at > longest) longest = now_ns() - at;
  }
  printf("{\"first\":%u,\"longestNs\":%" PRIu64 "}\n", words[0], longest);
}

static void meet(const char *name, uint32_t members, uint32_t rounds) {
  struct odonata_dataspace ds = open_id(name);
  for (uint32_t round = 0; round < rounds; round++) {
    __atomic_fetch_add(&words[1], 1, __ATOMIC_SEQ_CST);
    must(odonata_barrier(ds.id, 7, members, round, -1), "barrier");
    uint32_t sum = __atomic_load_n(&words[1], __ATOMIC_SEQ_CST);
    if (sum < members * (round + 1)) die(EXIT_CHECK, "%u after round %u", sum, round);
  }
  printf("{\"rounds\":%u}\n", rounds);
}

static void turns(const char *name, uint32_t whose, uint32_t rounds) {
  open_id(name);
  uint32_t *turn = (uint32_t *)&words[2], woken = 0, slept = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    for (uint32_t now; (now = __atomic_load_n(turn, __ATOMIC_SEQ_CST)) % 2 != whose; slept++) {
      int32_t how = odonata_wait32(turn, now, 30000000000);
      if (how != 0 && how != ODONATA_EAGAIN) die(EXIT_CHECK, "wait32: errno %d", how);
    }
    __atomic_fetch_add(turn, 1, __ATOMIC_SEQ_CST);
    must(odonata_wake(turn, 1, &woken), "wake");
  }
  printf("{\"turns\":%u,\"slept\":%u}\n", rounds, slept);
}

int main(int argc, char **argv) {
  if (argc < 3) die(EXIT_USAGE, "far write|listen|watch|look|alone|count|meet|turns|add NAME ...");
  if (strcmp(argv[1], "write") == 0 && argc > 5)
    writer(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), argc - 6, argv + 6);
  else if (strcmp(argv[1], "listen") == 0 && argc == 4) listener(argv[2], argv[3]);
  else if (strcmp(argv[1], "watch") == 0 && argc == 5) watcher(argv[2], atoi(argv[3]), atoi(argv[4]));
  else if (strcmp(argv[1], "look") == 0 && argc == 4) look(argv[2], strcmp(argv[3], "write") == 0);
  else if (strcmp(argv[1], "alone") == 0 && argc == 4)
    alone(argv[2], strcmp(argv[3], "write") == 0 ? ODONATA_READ_WRITE : ODONATA_READ);
  else if (strcmp(argv[1], "count") == 0 && argc == 4) count(argv[2], atoi(argv[3]));
  else if (strcmp(argv[1], "meet") == 0 && argc == 5) meet(argv[2], atoi(argv[3]), atoi(argv[4]));
  else if (strcmp(argv[1], "turns") == 0 && argc == 5) turns(argv[2], atoi(argv[3]), atoi(argv[4]));
  else if (strcmp(argv[1], "add") == 0 && argc == 5) add(argv[2], atoi(argv[3]), atoi(argv[4]));
  else die(EXIT_USAGE, "far: unknown words");
  return 0;
}
