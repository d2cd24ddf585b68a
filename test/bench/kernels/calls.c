/*
 * calls FOLDER [ROUNDS]: what a program does besides computing.  One line of JSON: for each kind of call the nanoseconds of
 * one of them, in the fastest of some batches: what others on the machine disturb least.  FOLDER may be written to, and
 * holds `names`, a folder of 1,000 files; without it that is not listed.
 *
 * Lines go to standard error, which nobody reads as JSON.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

#define BATCHES 9
/* Before those, of a round: code that a program runs often is compiled by then, which takes V8 some 50 ms on a busy machine. */
#define WARM_UP_NS 20000000
#define SMALL 4096
#define LARGE (1 << 20)

static char file_path[512], names_path[512];
static char *bytes;
static int file;

static void check(int holds, const char *what) {
  if (!holds) die(EXIT_CALL, "%s: %s", what, strerror(errno));
}

static void read_small(void) { check(pread(file, bytes, SMALL, 0) == SMALL, "read of 4 KiB"); }
static void write_small(void) { check(pwrite(file, bytes, SMALL, 0) == SMALL, "write of 4 KiB"); }
static void read_large(void) { check(pread(file, bytes, LARGE, 0) == LARGE, "read of 1 MiB"); }
static void write_large(void) { check(pwrite(file, bytes, LARGE, 0) == LARGE, "write of 1 MiB"); }

static void open_close(void) {
  int opened = open(file_path, O_RDONLY);
  check(opened >= 0 && close(opened) == 0, "open and close");
}

static void stat_file(void) {
  struct stat found;
  check(stat(file_path, &found) == 0 && found.st_size == LARGE, "stat");
}

static void read_folder(void) {
  DIR *folder = opendir(names_path);
  check(folder != NULL, "opendir");
  int count = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) count += entry->d_name[0] != '.';
  closedir(folder);
  check(count == 1000, "readdir of 1,000 names");
}

static void ask_clock(void) {
  struct timespec now;
  check(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock");
}

static void ask_random(void) { check(getentropy(bytes, 16) == 0, "random"); }
static void write_line(void) { check(write(2, "a line of some forty bytes, as logs have\n", 41) == 41, "line"); }

static const struct {
  const char *name;
  void (*call)(void);
  int count;
} kinds[] = {
    {"read 4 KiB", read_small, 400},   {"write 4 KiB", write_small, 400}, {"read 1 MiB", read_large, 20},
    {"write 1 MiB", write_large, 20},  {"open and close", open_close, 200}, {"stat", stat_file, 400},
    {"readdir of 1,000", read_folder, 2}, {"clock", ask_clock, 4000},     {"random, 16 bytes", ask_random, 1000},
    {"a line", write_line, 200},
};

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 2) die(EXIT_USAGE, "usage: calls FOLDER [ROUNDS]");
  uint64_t rounds = argc > 2 ? number(argv[2], "ROUNDS") : 5;
  snprintf(file_path, sizeof file_path, "%s/file", argv[1]);
  snprintf(names_path, sizeof names_path, "%s/names", argv[1]);
  bytes = allocated(LARGE);
  memset(bytes, 'a', LARGE);
  file = open(file_path, O_RDWR | O_CREAT, 0600);
  check(file >= 0, "open");
  write_large();
  printf("{");
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
    if (kinds[kind].call == read_folder && access(names_path, F_OK) != 0) continue;
    double each[BATCHES];
    int count = (int)(kinds[kind].count * rounds / 5) + 1;
    uint64_t warm_ns = now_ns() + rounds * WARM_UP_NS;
    do kinds[kind].call();
    while (now_ns() < warm_ns);
    for (int batch = 0; batch < BATCHES; batch++) {
      uint64_t begin_ns = now_ns();
      for (int i = 0; i < count; i++) kinds[kind].call();
      each[batch] = (double)(now_ns() - begin_ns) / count;
    }
    qsort(each, BATCHES, sizeof *each, by_size);
    printf("%s\"%s\":%.0f", kind == 0 ? "" : ",", kinds[kind].name, each[0]);
  }
  printf("}\n");
  return 0;
}
