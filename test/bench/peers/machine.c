/*
 * machine: what a page fault and the start of a process cost, on this machine or on one in user mode.
 *
 *   machine faults PAGES   touches pages of fresh private memory, one after another
 *   machine starts COUNT   starts a program that does nothing, and waits for it, one after another
 *   machine nothing
 *   machine off            ends a machine in user mode, of which it is the first process
 *
 * Prints {"what","count","ns"}; `ns` is of all of them, of starts as if each took as long as the median.
 */
#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, STARTS_MAX = 1000 };

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int faults(uint64_t count) {
  char *memory = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  /* A kernel without huge pages says that it has none. */
  (void)madvise(memory, count * PAGE, MADV_NOHUGEPAGE);
  for (uint64_t i = 0; i < count; i++) *(volatile char *)(memory + i * PAGE) = 1;
  return 0;
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static uint64_t took_ns[STARTS_MAX];

static int starts(char *self, uint64_t count) {
  char *args[] = {self, "nothing", NULL}, *environment[] = {NULL};
  if (count > STARTS_MAX) return 2;
  for (uint64_t i = 0; i < count; i++) {
    pid_t pid;
    int status;
    uint64_t begin_ns = now_ns();
    if (posix_spawn(&pid, self, NULL, NULL, args, environment) != 0) return 1;
    if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
    took_ns[i] = now_ns() - begin_ns;
  }
  qsort(took_ns, count, sizeof *took_ns, by_size);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "nothing") == 0) return 0;
  if (argc == 2 && strcmp(argv[1], "off") == 0) return getpid() == 1 ? reboot(RB_POWER_OFF) : 2;
  if (argc != 3) return 2;
  uint64_t count = strtoull(argv[2], NULL, 10), begin_ns = now_ns();
  int result = strcmp(argv[1], "faults") == 0 ? faults(count) : strcmp(argv[1], "starts") == 0 ? starts(argv[0], count) : 2;
  uint64_t ns = now_ns() - begin_ns;
  if (strcmp(argv[1], "starts") == 0) ns = count * took_ns[count / 2];
  if (result == 0)
    printf("{\"what\":\"%s\",\"count\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n", argv[1], count, ns);
  return result;
}
