/*
 * files: looks at files and changes them, where a virtual kernel has them.
 *   ls FOLDER             its names in order, each with a slash where it is a folder
 *   cat FILE…             their bytes
 *   write FILE WORD…      makes the file anew, with the words
 *   append FILE WORD…     the same at its end
 *   at FILE OFFSET WORD   writes the word there
 *   size FILE             how many bytes
 *   hold N FILE [once]    opens it so often, or as often as it may, says how often, and stays
 *   fill FILE             writes until there is no room, and says what it had room for
 *   keep FILE             opens it and reads it again and again, and says what changes; what is stale is opened anew
 *   time FILE             microseconds of opens, stats, and reads and writes of 4 KiB and 1 MiB
 *   rm FILE, mkdir FOLDER, rmdir FOLDER, mv FROM TO
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

static long now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long)(now.tv_sec % 1000) * 1000000 + now.tv_nsec / 1000;
}

static long now_ms(void) { return now_us() / 1000; }

static int failed(const char *path) {
  fprintf(stderr, "%s: %s\n", path, strerror(errno));
  return EXIT_CHECK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int list(const char *path) {
  static char *names[4096];
  size_t count = 0;
  DIR *folder = opendir(path);
  if (folder == NULL) return failed(path);
  for (struct dirent *entry; (entry = readdir(folder)) != NULL && count < 4096;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    names[count] = malloc(strlen(entry->d_name) + 2);
    strcpy(names[count], entry->d_name);
    if (entry->d_type == DT_DIR) strcat(names[count], "/");
    count++;
  }
  closedir(folder);
  qsort(names, count, sizeof names[0], by_name);
  for (size_t i = 0; i < count; i++) puts(names[i]);
  return 0;
}

static int print(const char *path) {
  static char bytes[65536];
  int fd = open(path, O_RDONLY);
  if (fd < 0) return failed(path);
  ssize_t count;
  while ((count = read(fd, bytes, sizeof bytes)) > 0) fwrite(bytes, 1, (size_t)count, stdout);
  close(fd);
  return count < 0 ? failed(path) : 0;
}

static int put(const char *path, int flags, int count, char **words) {
  int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
  if (fd < 0) return failed(path);
  for (int i = 0; i < count; i++)
    if (dprintf(fd, "%s%c", words[i], i + 1 < count ? ' ' : '\n') < 0) return failed(path);
  return close(fd) != 0 ? failed(path) : 0;
}

static int put_at(const char *path, off_t offset, const char *word) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return failed(path);
  if (pwrite(fd, word, strlen(word), offset) < 0) return failed(path);
  return close(fd) != 0 ? failed(path) : 0;
}

static int fill(const char *path) {
  static char bytes[1 << 20];
  uint64_t total = 0;
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd < 0) return failed(path);
  ssize_t count;
  while ((count = write(fd, bytes, sizeof bytes)) > 0) total += (uint64_t)count;
  printf("%llu MiB, then: %s\n", (unsigned long long)(total >> 20), strerror(errno));
  return 0;
}

static int hold(int most, const char *path, int stays) {
  int count = 0;
  while (count < most && open(path, O_RDONLY) >= 0) count++;
  printf("held %d%s%s\n", count, count < most ? ": " : "", count < most ? strerror(errno) : "");
  fflush(stdout);
  while (stays) sleep(60);
  return 0;
}

/* What a call came to, and how long it took. */
static void tell(const char *what, long began_ms) {
  static const char *last = "";
  if (strcmp(what, last) == 0) return;
  last = what;
  printf("%s in %ld ms\n", what, now_ms() - began_ms);
  fflush(stdout);
}

static int keep(const char *path) {
  int fd = -1;
  for (;; usleep(50000)) {
    char bytes[4];
    long began_ms = now_ms();
    if (fd < 0 && (fd = open(path, O_RDONLY)) < 0) {
      tell(strerror(errno), began_ms);
      continue;
    }
    if (pread(fd, bytes, sizeof bytes, 0) == sizeof bytes) {
      tell("reads", began_ms);
      continue;
    }
    const int stale = errno == ESTALE;
    tell(strerror(errno), began_ms);
    if (stale) {
      close(fd);
      fd = -1;
    }
  }
}

#define REPEATED(count, what, call)                                          \
  do {                                                                       \
    const long began_us = now_us();                                          \
    for (int i = 0; i < (count); i++)                                        \
      if ((call) < 0) return failed(path);                                   \
    printf("%s %ld\n", what, (now_us() - began_us) / (count));               \
  } while (0)

static int measure(const char *path) {
  static char bytes[1 << 20];
  struct stat about;
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0) return failed(path);
  for (int round = 0; round < 2; round++)
    if (pwrite(fd, bytes, sizeof bytes, (off_t)round << 20) < 0) return failed(path);
  REPEATED(200, "stat", stat(path, &about));
  REPEATED(200, "open-close", close(open(path, O_RDONLY)));
  REPEATED(200, "write-4k", pwrite(fd, bytes, 4096, i * 4096));
  REPEATED(200, "read-4k-anywhere", pread(fd, bytes, 4096, (i * 37 % 256) * 4096));
  REPEATED(500, "read-4k-in-order", pread(fd, bytes, 4096, i * 4096));
  REPEATED(20, "write-1m", pwrite(fd, bytes, sizeof bytes, 0));
  REPEATED(20, "read-1m", pread(fd, bytes, sizeof bytes, (off_t)(i % 2) << 20));
  close(fd);
  return 0;
}

int main(int argc, char **argv) {
  struct stat about;
  const char *what = argc < 3 ? "" : argv[1];
  if (strcmp(what, "ls") == 0) return list(argv[2]);
  if (strcmp(what, "cat") == 0) {
    int end = 0;
    for (int i = 2; i < argc; i++) end |= print(argv[i]);
    return end;
  }
  if (strcmp(what, "write") == 0) return put(argv[2], O_TRUNC, argc - 3, argv + 3);
  if (strcmp(what, "append") == 0) return put(argv[2], O_APPEND, argc - 3, argv + 3);
  if (strcmp(what, "at") == 0 && argc == 5) return put_at(argv[2], atoll(argv[3]), argv[4]);
  if (strcmp(what, "keep") == 0) return keep(argv[2]);
  if (strcmp(what, "time") == 0) return measure(argv[2]);
  if (strcmp(what, "hold") == 0 && argc >= 4) return hold(atoi(argv[2]), argv[3], argc == 4);
  if (strcmp(what, "fill") == 0) return fill(argv[2]);
  if (strcmp(what, "rm") == 0) return unlink(argv[2]) != 0 ? failed(argv[2]) : 0;
  if (strcmp(what, "mkdir") == 0) return mkdir(argv[2], 0700) != 0 ? failed(argv[2]) : 0;
  if (strcmp(what, "rmdir") == 0) return rmdir(argv[2]) != 0 ? failed(argv[2]) : 0;
  if (strcmp(what, "mv") == 0 && argc == 4) return rename(argv[2], argv[3]) != 0 ? failed(argv[2]) : 0;
  if (strcmp(what, "size") == 0) {
    if (stat(argv[2], &about) != 0) return failed(argv[2]);
    printf("%lld\n", (long long)about.st_size);
    return 0;
  }
  die(EXIT_USAGE, "use: files ls|cat|write|append|at|size|hold|fill|keep|time|rm|mkdir|rmdir|mv PATH…");
}
