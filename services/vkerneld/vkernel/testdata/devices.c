// What a program finds in /dev, and what of it it cannot do. Its argument: the path of a file with four bytes in it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;
static void expect_at(int line, int ok) {
  if (ok) return;
  failures++;
  printf("line %d, errno %d\n", line, errno);
}
#define expect(ok) expect_at(__LINE__, ok)

static int lists(const char *path, const char *name) {
  DIR *folder = opendir(path);
  if (folder == NULL) return -1;
  int found = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) found |= strcmp(entry->d_name, name) == 0;
  closedir(folder);
  return found;
}

int main(int argc, char **argv) {
  char bytes[64];
  struct stat about;
  int fd = open("/dev/null", O_RDWR);
  expect(fd >= 0 && write(fd, "gone", 4) == 4 && read(fd, bytes, 4) == 0);
  expect(isatty(fd) == 0 && fstat(fd, &about) == 0 && S_ISCHR(about.st_mode));
  expect(lseek(fd, 5, SEEK_SET) == 0 && ftruncate(fd, 0) < 0 && errno == EINVAL);
  close(fd);
  expect(stat("/dev/null", &about) == 0 && S_ISCHR(about.st_mode));
  fd = open("/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  expect(fd >= 0 && read(fd, bytes, 1) < 0 && errno == EBADF);
  close(fd);
  expect(open("/dev/null", O_WRONLY | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST);
  expect(open("/dev/null", O_RDONLY | O_DIRECTORY) < 0 && errno == ENOTDIR);
  expect(open("/dev/null/", O_RDONLY) < 0 && errno == ENOTDIR);
  expect(open("/dev/sda", O_RDONLY) < 0 && errno == ENOENT);
  expect(unlink("/dev/null") < 0 && errno == EROFS);
  fd = open("/dev/zero", O_RDWR);
  memset(bytes, 1, sizeof bytes);
  expect(read(fd, bytes, sizeof bytes) == sizeof bytes && bytes[0] == 0 && bytes[63] == 0);
  expect(write(fd, bytes, 7) == 7);
  struct pollfd asked = {fd, POLLIN | POLLOUT, 0};
  expect(poll(&asked, 1, -1) == 1 && asked.revents == (POLLIN | POLLOUT));
  close(fd);
  fd = open("/dev/full", O_RDWR);
  expect(write(fd, "x", 1) < 0 && errno == ENOSPC);
  expect(read(fd, bytes, 3) == 3);
  close(fd);
  char more[64];
  fd = open("/dev/urandom", O_RDONLY);
  expect(read(fd, bytes, 64) == 64 && read(fd, more, 64) == 64 && memcmp(bytes, more, 64) != 0);
  expect(write(fd, "x", 1) < 0 && errno == EBADF);
  close(fd);
  fd = open("/dev/stdout", O_WRONLY);
  expect(fd >= 0 && write(fd, "by /dev/stdout\n", 15) == 15);
  close(fd);
  fd = open("/dev/fd/2", O_WRONLY);
  expect(fd >= 0 && write(fd, "by /dev/fd/2\n", 13) == 13);
  close(fd);
  fd = open("/dev/stdin", O_RDONLY);
  expect(read(fd, bytes, 64) == 5 && memcmp(bytes, "input", 5) == 0);
  close(fd);
  expect(open("/dev/fd/77", O_RDONLY) < 0 && errno == ENOENT);
  fd = open("/dev/tty", O_RDWR);
  if (argc > 2) expect(fd >= 0 && isatty(fd) == 1);
  else expect(fd < 0 && errno == ENXIO);
  // As Linux has it: the file anew, with a position of its own.
  int file = open(argv[1], O_RDONLY);
  expect(file >= 0 && read(file, bytes, 2) == 2);
  snprintf(bytes, sizeof bytes, "/dev/fd/%d", file);
  int again = open(bytes, O_RDONLY);
  expect(again >= 0 && read(again, more, 4) == 4 && read(file, bytes, 4) == 2);
  expect(lists("/", "dev") == 1 && lists("/dev", "null") == 1 && lists("/dev", "fd") == 1);
  expect(lists("/dev/fd", "2") == 1 && lists("/dev/fd", "77") == 0);
  expect(stat("/dev", &about) == 0 && S_ISDIR(about.st_mode));
  expect(mkdir("/dev/x", 0700) < 0 && errno == ENOENT);
  expect(open("/dev/../dev/null", O_RDONLY) >= 0);
  expect(open("/../dev/null", O_RDONLY) >= 0);
  expect(open("/dev/../../etc/passwd", O_RDONLY) < 0 && errno == ENOENT);
  printf("%d failures\n", failures);
  return failures;
}
