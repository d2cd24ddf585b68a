// futimens and utimensat with each kind of time in each place; prints what is not as it should be.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 4 };
static const long kinds[KINDS] = {UTIME_NOW, UTIME_OMIT, 0, 123456789};

static int right(struct timespec is, struct timespec was, int kind) {
  if (kinds[kind] == UTIME_NOW) return llabs(is.tv_sec - time(NULL)) < 60;
  if (kinds[kind] == UTIME_OMIT) return is.tv_sec == was.tv_sec && is.tv_nsec == was.tv_nsec;
  return is.tv_sec == 5 && is.tv_nsec == kinds[kind];
}

int main(void) {
  int fd = open("/data/file", O_CREAT | O_RDWR, 0666), failures = 0;
  symlink("file", "/data/link");
  for (int way = 0; way < 3; way++)
    for (int i = 0; i < KINDS * KINDS; i++) {
      struct timespec times[2] = {{5, kinds[i / KINDS]}, {5, kinds[i % KINDS]}}, start[2] = {{7, 7}, {8, 8}};
      const char *path = way == 2 ? "/data/link" : "/data/file";
      struct stat st;
      utimensat(AT_FDCWD, path, start, AT_SYMLINK_NOFOLLOW);
      int result = way == 0 ? futimens(fd, times) : utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
      lstat(path, &st);
      if (result == 0 && right(st.st_atim, start[0], i / KINDS) && right(st.st_mtim, start[1], i % KINDS)) continue;
      printf("way %d, %ld and %ld: %d, %lld %lld\n", way, kinds[i / KINDS], kinds[i % KINDS], result, st.st_atim.tv_sec,
             st.st_mtim.tv_sec);
      failures++;
    }
  printf("%d failures\n", failures);
  return failures != 0;
}
