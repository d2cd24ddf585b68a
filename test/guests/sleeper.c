/*
 * sleeper: a program that waits in many ways, and that can be parked meanwhile.
 *
 *   sleeper WHAT...
 *
 * each WHAT, in order: sleep MS, read (a line of standard input, which it writes), poll MS (its input, or so long), deep N (the next
 * WHAT within so many calls of a function), count (how often it was asked to count so far), lock (EXCLUSIVE on the dataspace `shared`),
 * unlock, file (opens one in /kept and writes it), tell (reads it back by the descriptor that it has), handle (SIGUSR1: says so; after `asking` it
 * asks who it is instead), say TEXT. Each says what it did in a line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

ODONATA_PARKABLE(16384)

static char **words;
static int left;
static int counted;
static int file = -1;
static struct odonata_dataspace shared;

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static const char *word(void) {
  if (left == 0) exit(3);
  left--;
  return *words++;
}

static void said(const char *what, long value) {
  printf("%s %ld\n", what, value);
  fflush(stdout);
}

static void pause_ms(long ms) {
  struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
  }
}

static int asks;

/* With `asking` it calls the virtual kernel, which has to be asked for what it answers; and does not print, which the program may be at. */
static void on_signal(int32_t signal) {
  struct odonata_relatives who;
  if (asks) odonata_identify(0, &who);
  else said("signal", signal);
}

static void open_shared(void) {
  if (shared.id != 0) return;
  int32_t error = odonata_ds_open("shared", 6, 4096, ODONATA_OPEN_CREATE, &shared);
  if (error != 0) said("open", error), exit(4);
}

static void one(void);

__attribute__((noinline)) static long deep(long depth, long sum) {
  volatile long own = sum + depth;
  if (depth == 0) one();
  else own += deep(depth - 1, own);
  return own;
}

static void one(void) {
  const char *what = word();
  double start = now_ms();
  if (strcmp(what, "sleep") == 0) {
    pause_ms(atol(word()));
    said("slept", (long)(now_ms() - start));
  } else if (strcmp(what, "read") == 0) {
    char line[256];
    ssize_t length = read(0, line, sizeof line - 1);
    line[length < 0 ? 0 : length] = 0;
    printf("read %ld %s\n", (long)length, strtok(line, "\n") == NULL ? "" : line);
    fflush(stdout);
  } else if (strcmp(what, "poll") == 0) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    int ready = poll(&input, 1, (int)atol(word()));
    said("polled", ready);
    said("took", (long)(now_ms() - start));
  } else if (strcmp(what, "deep") == 0) {
    long depth = atol(word());
    said("deep", deep(depth, 0));
  } else if (strcmp(what, "count") == 0) {
    said("count", ++counted);
  } else if (strcmp(what, "lock") == 0) {
    open_shared();
    said("locked", odonata_lock(shared.id, 0, 7, ODONATA_LOCK_EXCLUSIVE, -1));
  } else if (strcmp(what, "unlock") == 0) {
    open_shared();
    said("unlocked", odonata_unlock(shared.id, 0, 7));
  } else if (strcmp(what, "file") == 0) {
    file = open("/kept/sleeper", O_CREAT | O_RDWR | O_TRUNC, 0600);
    said("wrote", write(file, "kept", 4));
  } else if (strcmp(what, "tell") == 0) {
    char bytes[5] = {0};
    said("at", lseek(file, 0, SEEK_CUR));
    pread(file, bytes, 4, 0);
    printf("file %s\n", bytes);
    fflush(stdout);
  } else if (strcmp(what, "handle") == 0) {
    must(odonata_on_signal(on_signal), "on_signal");
    said("handles", odonata_signal_action(10, ODONATA_SIGNAL_HANDLER));
  } else if (strcmp(what, "asking") == 0) {
    asks = 1;
  } else if (strcmp(what, "say") == 0) {
    printf("%s\n", word());
    fflush(stdout);
  } else {
    exit(2);
  }
}

int main(int argc, char **argv) {
  words = argv + 1;
  left = argc - 1;
  while (left > 0) one();
  return counted;
}
