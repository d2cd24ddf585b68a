// Arguments, environment, clocks, sleep, random bytes, polls and standard input.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) printf("arg %s\n", argv[i]);
  for (char **e = environ; *e; e++) printf("env %s\n", *e);
  double before = now(CLOCK_MONOTONIC);
  usleep(30000);
  double slept = now(CLOCK_MONOTONIC) - before;
  printf("slept %d\n", slept >= 0.029);
  printf("year %d\n", now(CLOCK_REALTIME) > 1.7e9);
  printf("cpu %d\n", now(CLOCK_PROCESS_CPUTIME_ID) < 5);
  unsigned char random[300] = {0};
  getentropy(random, 256);
  int zeros = 0;
  for (int i = 0; i < 256; i++) zeros += random[i] == 0;
  printf("random %d\n", zeros < 20);
  struct pollfd ready = {.fd = 0, .events = POLLIN};
  before = now(CLOCK_MONOTONIC);
  int n = poll(&ready, 1, 3000);
  printf("poll %d %d %d\n", n, (ready.revents & POLLIN) != 0, now(CLOCK_MONOTONIC) - before < 2);
  char line[100];
  while (fgets(line, sizeof line, stdin)) printf("line %s", line);
  printf("end %d\n", feof(stdin));
  fprintf(stderr, "to stderr\n");
  return 42;
}
