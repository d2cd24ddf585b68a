/*
 * misbehave: ends badly, as asked.  Prints `misbehave WAY` first.
 *
 *   exit CODE        proc_exit                        bounds           a load outside linear memory
 *   unreachable      the trap                         divide           integer division by zero
 *   abort            abort()                          overflow         INT_MIN / -1
 *   recursion        V8's stack                       stack            the program's own stack
 *   table            an indirect call of a wrong type convert          float too large for an int
 *   hog MIB [FOREVER] touches MIB MiB, a page at a time, and prints {"touched_mib"} every 16 (with FOREVER spins then)
 *   spin             endless loop                     sleep MS         sleeps, then exits with 0
 *   flood            writes to stdout for ever        random           fails unless two random reads differ
 */
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include "guest.h"

/** Without a frame on the program's own stack: only the engine's grows. */
__attribute__((noinline)) static uint64_t recurse(uint64_t depth) {
  __asm__ volatile("");
  return depth == UINT64_MAX ? 0 : recurse(depth + 1) * 3 ^ depth; /* No loop to make of this. */
}

/** With 4 KiB of it a call. */
__attribute__((noinline)) static int use_stack(int depth) {
  volatile char frame[4096];
  __asm__ volatile("" : : "r"(frame) : "memory");
  frame[0] = (char)depth;
  return depth < 0 ? 0 : use_stack(depth + 1) + frame[0];
}

static int takes_two(int a, int b) { return a + b; }

static void hog(uint64_t mib) {
  for (uint64_t done = 0; done < mib; done++) {
    unsigned char *base = odonata_reserve(1 << 20);
    if (base == NULL) die(EXIT_CALL, "memory cannot grow beyond %" PRIu64 " MiB", done);
    for (uint32_t at = 0; at < 1 << 20; at += ODONATA_PAGE) *(volatile unsigned char *)(base + at) = 1;
    if (done % 16 == 15 || done + 1 == mib) {
      printf("{\"touched_mib\":%" PRIu64 "}\n", done + 1);
      fflush(stdout);
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 2) die(EXIT_USAGE, "usage: misbehave WAY [ARGUMENT]; the ways stand in misbehave.c");
  const char *way = argv[1];
  const char *argument = argc > 2 ? argv[2] : "0";
  volatile int seven = 7, zero = 0, minus_one = -1, int_min = INT_MIN;
  volatile float huge = 1e30f;
  printf("misbehave %s\n", way);
  fflush(stdout);
  if (strcmp(way, "exit") == 0) exit((int)number(argument, "CODE"));
  else if (strcmp(way, "unreachable") == 0) __builtin_trap();
  else if (strcmp(way, "abort") == 0) abort();
  else if (strcmp(way, "divide") == 0) printf("%d\n", seven / zero);
  else if (strcmp(way, "overflow") == 0) printf("%d\n", int_min / minus_one);
  else if (strcmp(way, "convert") == 0) printf("%d\n", (int)huge);
  else if (strcmp(way, "bounds") == 0) printf("%d\n", *(volatile int *)(uintptr_t)0xfffffff0u);
  else if (strcmp(way, "recursion") == 0) printf("%" PRIu64 "\n", recurse((uint64_t)zero));
  else if (strcmp(way, "stack") == 0) printf("%d\n", use_stack(zero));
  else if (strcmp(way, "table") == 0) {
    int (*volatile wrong)(int, int) = takes_two;
    printf("%d\n", ((int (*)(int))(void *)wrong)(1));
  } else if (strcmp(way, "hog") == 0) {
    hog(number(argument, "MIB"));
    while (argc > 3) __asm__ volatile("");
  } else if (strcmp(way, "spin") == 0) {
    for (;;) __asm__ volatile("");
  } else if (strcmp(way, "sleep") == 0) {
    uint64_t ms = number(argument, "MS");
    struct timespec pause = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
  } else if (strcmp(way, "flood") == 0) {
    for (uint64_t line = 0;; line++) printf("line %" PRIu64 "\n", line);
  } else if (strcmp(way, "random") == 0) {
    uint64_t one = 0, two = 0;
    if (getentropy(&one, 8) != 0 || getentropy(&two, 8) != 0 || one == two) return EXIT_CHECK;
    sched_yield();
  } else die(EXIT_USAGE, "misbehave: unknown way %s", way);
  return 0;
}
