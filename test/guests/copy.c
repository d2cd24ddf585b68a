/*
 * copy: the calls on files, within the folders that were granted.
 *
 *   copy FROM TO          copies a file; prints {"bytes":N}
 *   copy --tree FOLDER    makes, lists, renames, links and removes files in it; prints the listing as JSON, and exits
 *                         with 1 at the first call that did not do what it should
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

static char path_buffer[4][1024];

static const char *in(const char *folder, const char *name, int buffer) {
  snprintf(path_buffer[buffer], sizeof path_buffer[buffer], "%s/%s", folder, name);
  return path_buffer[buffer];
}

static void expect(bool holds, const char *what) {
  if (!holds) die(EXIT_CHECK, "%s: %s", what, strerror(errno));
}

static int by_name(const void *left, const void *right) { return strcmp(left, right); }

static void list(const char *folder) {
  static char names[16][256];
  size_t count = 0;
  DIR *entries = opendir(folder);
  expect(entries != NULL, "opendir");
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (count == 16) die(EXIT_USAGE, "%s: more than 16 entries", folder);
    snprintf(names[count++], sizeof names[0], "%s", entry->d_name);
  }
  closedir(entries);
  qsort(names, count, sizeof names[0], by_name);
  printf("{\"entries\":[");
  for (size_t i = 0; i < count; i++) printf("%s\"%s\"", i == 0 ? "" : ",", names[i]);
  printf("]}\n");
}

static int walk_tree(const char *folder) {
  char text[32] = {0};
  struct stat status;
  expect(mkdir(in(folder, "made", 0), 0777) == 0, "mkdir");
  expect(mkdir(in(folder, "made", 0), 0777) == -1 && errno == EEXIST, "mkdir again");
  int file = open(in(folder, "made/one", 1), O_CREAT | O_EXCL | O_RDWR, 0666);
  expect(file >= 0, "open");
  expect(write(file, "hello world", 11) == 11, "write");
  expect(pwrite(file, "W", 1, 6) == 1, "pwrite");
  expect(lseek(file, 0, SEEK_SET) == 0, "lseek");
  expect(read(file, text, 31) == 11 && strcmp(text, "hello World") == 0, "read");
  expect(ftruncate(file, 5) == 0 && fstat(file, &status) == 0 && status.st_size == 5, "ftruncate");
  expect(fsync(file) == 0, "fsync");
  expect(close(file) == 0, "close");
  expect(rename(in(folder, "made/one", 1), in(folder, "made/two", 2)) == 0, "rename");
  expect(stat(in(folder, "made/one", 1), &status) == -1 && errno == ENOENT, "stat of what was renamed");
  expect(stat(in(folder, "made/two", 2), &status) == 0 && S_ISREG(status.st_mode), "stat");
  expect(link(in(folder, "made/two", 2), in(folder, "made/three", 3)) == 0, "link");
  expect(symlink("two", in(folder, "made/four", 1)) == 0, "symlink");
  expect(readlink(path_buffer[1], text, 31) == 3, "readlink");
  list(in(folder, "made", 0));
  expect(rmdir(path_buffer[0]) == -1 && errno == ENOTEMPTY, "rmdir of a full folder");
  expect(unlink(path_buffer[1]) == 0 && unlink(path_buffer[2]) == 0 && unlink(path_buffer[3]) == 0, "unlink");
  expect(rmdir(path_buffer[0]) == 0, "rmdir");
  expect(open("/etc/passwd", O_RDONLY) == -1, "a file outside is out of reach");
  expect(open(in(folder, "../../../../etc/passwd", 0), O_RDONLY) == -1, "nor is there a way up");
  return 0;
}

int main(int argc, char **argv) {
  const char *folder = take_option(&argc, argv, "--tree", true);
  no_more_options(argc, argv);
  if (folder != NULL) return walk_tree(folder);
  if (argc != 3) die(EXIT_USAGE, "usage: copy FROM TO | copy --tree FOLDER");
  static char buffer[65536];
  uint64_t bytes = 0;
  FILE *from = fopen(argv[1], "rb");
  if (from == NULL) die(EXIT_CALL, "%s: %s", argv[1], strerror(errno));
  FILE *to = fopen(argv[2], "wb");
  if (to == NULL) die(EXIT_CALL, "%s: %s", argv[2], strerror(errno));
  for (size_t got; (got = fread(buffer, 1, sizeof buffer, from)) > 0; bytes += got) {
    if (fwrite(buffer, 1, got, to) != got) die(EXIT_CALL, "%s: %s", argv[2], strerror(errno));
  }
  if (ferror(from) || fclose(to) != 0) die(EXIT_CALL, "copying: %s", strerror(errno));
  printf("{\"bytes\":%" PRIu64 "}\n", bytes);
  return 0;
}
