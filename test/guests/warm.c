/*
 * warm: a program that initialises for long, and of which there may be snapshots.
 *
 *   warm [--mib N] [--rounds N] [--poll | --compute | --file | --child | --lock DS | --map DS]
 *
 * fills N MiB (64) with numbers that take so many rounds to compute (400), says {"ready":true,"sum":S}, and waits for its input to end;
 * with --poll it asks odonata_snapshot() without end; with --compute it comes to no point; with the rest something is in the way of a
 * snapshot. What is started from a snapshot says {"resumed":N,"args":A} and then {"sum":S,"ms":M}, with the arguments that it has
 * itself: "write" changes every page, "wait" reads its input to the end before it ends.
 */
#include <fcntl.h>
#include <unistd.h>
#include <wasi/api.h>

#include "guest.h"

#define WORDS 1024

static uint32_t *heap;
static size_t pages;
static uint32_t resumed;

static uint64_t sum(void) {
  uint64_t all = 0;
  for (size_t page = 0; page < pages; page++) all = all * 31 + heap[page * WORDS] + heap[page * WORDS + WORDS - 1];
  return all;
}

static void initialise(uint32_t rounds) {
  for (size_t i = 0; i < pages * WORDS; i++) {
    uint32_t value = (uint32_t)i + 1;
    for (uint32_t round = 0; round < rounds; round++) value = value * 1664525u + 1013904223u;
    heap[i] = value | 1;
  }
}

static void read_to_the_end(void) {
  char bytes[256];
  while (read(0, bytes, sizeof bytes) > 0) {
  }
}

__attribute__((export_name("odonata_resume"))) void odonata_resume(void) {
  uint64_t began = now_ns();
  size_t count, size;
  must(__wasi_args_sizes_get(&count, &size), "args_sizes_get");
  uint8_t **args = malloc(count * sizeof *args);
  uint8_t *bytes = malloc(size);
  must(__wasi_args_get(args, bytes), "args_get");
  bool writes = false, waits = false;
  for (size_t i = 1; i < count; i++) {
    writes |= strcmp((char *)args[i], "write") == 0;
    waits |= strcmp((char *)args[i], "wait") == 0;
  }
  resumed++;
  printf("{\"resumed\":%u,\"args\":%zu}\n", (unsigned)resumed, count - 1);
  fflush(stdout);
  uint64_t had = sum();
  if (writes)
    for (size_t page = 0; page < pages; page++) heap[page * WORDS + 1] = (uint32_t)page;
  printf("{\"sum\":%llu,\"ms\":%llu}\n", (unsigned long long)had, (unsigned long long)((now_ns() - began) / 1000000u));
  fflush(stdout);
  if (waits) read_to_the_end();
  exit(0);
}

int main(int argc, char **argv) {
  size_t mib = number_option(&argc, argv, "--mib", 64);
  uint32_t rounds = (uint32_t)number_option(&argc, argv, "--rounds", 400);
  bool poll = take_option(&argc, argv, "--poll", false) != NULL;
  bool compute = take_option(&argc, argv, "--compute", false) != NULL;
  bool file = take_option(&argc, argv, "--file", false) != NULL;
  bool child = take_option(&argc, argv, "--child", false) != NULL;
  const char *locked = take_option(&argc, argv, "--lock", true);
  const char *mapped = take_option(&argc, argv, "--map", true);
  no_more_options(argc, argv);
  pages = mib * 256;
  heap = malloc(pages * 4096);
  if (heap == NULL) die(EXIT_CALL, "no %zu MiB", mib);
  uint64_t began = now_ns();
  initialise(rounds);
  if (file && open("/tmp/warm", O_CREAT | O_RDWR, 0600) < 0) die(EXIT_CALL, "no file");
  if (child) {
    struct odonata_child started;
    const char args[] = "warm\0--mib\0001";
    must(odonata_spawn(0, args, sizeof args, "", 0, "", 0, "", 0, ODONATA_SPAWN_SELF, 0, &started), "spawn");
  }
  if (mapped != NULL) map_dataspace(mapped, 4096, ODONATA_READ_WRITE);
  if (locked != NULL) {
    struct odonata_dataspace dataspace;
    must(odonata_ds_open(locked, strlen(locked), 4096, ODONATA_OPEN_CREATE, &dataspace), "ds_open");
    must(odonata_lock(dataspace.id, 0, 7, ODONATA_LOCK_EXCLUSIVE, -1), "lock");
  }
  printf("{\"ready\":true,\"sum\":%llu,\"ms\":%llu}\n", (unsigned long long)sum(),
         (unsigned long long)((now_ns() - began) / 1000000u));
  fflush(stdout);
  while (compute) usleep(10000);
  while (poll && odonata_snapshot() == 0) usleep(1000);
  if (poll) {
    printf("{\"taken\":true,\"sum\":%llu}\n", (unsigned long long)sum());
    fflush(stdout);
  }
  read_to_the_end();
  printf("{\"over\":true,\"sum\":%llu}\n", (unsigned long long)sum());
  return 0;
}
