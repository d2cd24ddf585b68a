/*
 * What the test guests share: clear ends, times, arguments, and dataspaces opened in one line.
 * A guest prints its result as one JSON line on stdout and its complaints as one line on stderr.
 */
#ifndef GUEST_H
#define GUEST_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "odonata.h"

/** Exit codes: 1 a check of the guest failed, 2 wrong use, 3 a call to the virtual kernel failed. */
enum { EXIT_CHECK = 1, EXIT_USAGE = 2, EXIT_CALL = 3 };

/** Ends the program with one line on stderr. */
__attribute__((noreturn, format(printf, 2, 3), unused)) static void die(int code, const char *format, ...) {
  fflush(stdout);
  va_list values;
  va_start(values, format);
  vfprintf(stderr, format, values);
  va_end(values);
  fputc('\n', stderr);
  exit(code);
}

/** Ends the program unless `result`, a WASI errno, is 0; `what` names the call. */
__attribute__((unused)) static void must(int32_t result, const char *what) {
  if (result != 0) die(EXIT_CALL, "%s: %s (errno %d)", what, strerror(result), (int)result);
}

/** Monotonic time in ns. */
__attribute__((unused)) static uint64_t now_ns(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) die(EXIT_CALL, "clock_gettime failed");
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/** A number argument: decimal or 0x-hexadecimal, nothing after it. */
__attribute__((unused)) static uint64_t number(const char *text, const char *what) {
  char *end;
  uint64_t value = strtoull(text, &end, 0);
  if (*text == 0 || *end != 0) die(EXIT_USAGE, "%s: '%s' is not a number", what, text);
  return value;
}

/** Like number(), but may be negative. */
__attribute__((unused)) static int64_t signed_number(const char *text, const char *what) {
  return *text == '-' ? -(int64_t)number(text + 1, what) : (int64_t)number(text, what);
}

/**
 * Takes `--name value` (or, for `wants_value` false, `--name`) out of argv: NULL when it is not there, else the value
 * (or the flag itself).  What is left is the positional arguments.
 */
__attribute__((unused)) static const char *take_option(int *argc, char **argv, const char *name, bool wants_value) {
  for (int i = 1; i < *argc; i++) {
    if (strcmp(argv[i], name) != 0) continue;
    int taken = wants_value ? 2 : 1;
    if (i + taken > *argc) die(EXIT_USAGE, "%s needs a value", name);
    const char *value = argv[i + taken - 1];
    memmove(argv + i, argv + i + taken, (size_t)(*argc - i - taken) * sizeof *argv);
    *argc -= taken;
    return value;
  }
  return NULL;
}

__attribute__((unused)) static uint64_t number_option(int *argc, char **argv, const char *name, uint64_t otherwise) {
  const char *text = take_option(argc, argv, name, true);
  return text == NULL ? otherwise : number(text, name);
}

/** Call when all options are taken: whatever still starts with `--` is one that we do not know. */
__attribute__((unused)) static void no_more_options(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strncmp(argv[i], "--", 2) == 0) die(EXIT_USAGE, "unknown option %s", argv[i]);
  }
}

/** A dataspace and where it is mapped. */
struct mapping {
  struct odonata_dataspace ds;
  unsigned char *base;
};

/** Opens `name` and maps all of it; `size` 0 takes an existing one as it is, else it is created where missing. */
__attribute__((unused)) static struct mapping map_dataspace(const char *name, uint64_t size, int32_t prot) {
  struct mapping mapping;
  int32_t result =
      odonata_ds_open(name, (uint32_t)strlen(name), size, size == 0 ? 0 : ODONATA_OPEN_CREATE, &mapping.ds);
  if (result != 0) die(EXIT_CALL, "dataspace %s: %s (errno %d)", name, strerror(result), (int)result);
  void *base;
  result = odonata_ds_map_whole(&mapping.ds, prot, &base);
  if (result != 0) die(EXIT_CALL, "mapping dataspace %s: %s (errno %d)", name, strerror(result), (int)result);
  mapping.base = base;
  return mapping;
}

/** SHARED, EXCLUSIVE or MODIFYING, in any case. */
__attribute__((unused)) static int32_t lock_mode(const char *text) {
  if (strcasecmp(text, "shared") == 0) return ODONATA_LOCK_SHARED;
  if (strcasecmp(text, "exclusive") == 0) return ODONATA_LOCK_EXCLUSIVE;
  if (strcasecmp(text, "modifying") == 0) return ODONATA_LOCK_MODIFYING;
  die(EXIT_USAGE, "lock mode '%s': use shared, exclusive or modifying", text);
}

/** xorshift64*: a seeded stream of numbers, the same everywhere. */
__attribute__((unused)) static uint64_t next_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 0x2545f4914f6cdd1dULL;
}

__attribute__((unused)) static int by_u64(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

/** Sorts `values` and prints `"name":{...}` with count, mean and percentiles, all in ns. */
__attribute__((unused)) static void print_latencies(const char *name, uint64_t *values, size_t count) {
  qsort(values, count, sizeof *values, by_u64);
  uint64_t total = 0;
  for (size_t i = 0; i < count; i++) total += values[i];
#define PERCENTILE(p) (count == 0 ? 0 : values[(count - 1) * (p) / 1000])
  printf("\"%s\":{\"count\":%zu,\"mean\":%" PRIu64 ",\"min\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64
         ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
         name, count, count == 0 ? 0 : total / count, PERCENTILE(0), PERCENTILE(500), PERCENTILE(900), PERCENTILE(990),
         PERCENTILE(999), PERCENTILE(1000));
#undef PERCENTILE
}

#endif
