// Opens a path again and again while somebody makes its directory a link to the outside, and back.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(void) {
  int inside = 0, refused = 0, secret = 0;
  char text[8] = {0};
  time_t until = time(NULL) + 2;
  while (time(NULL) < until) {
    static const char *const paths[] = {"/data/a/file", "/data/b/file", "/data/a/../a/file"};
    for (int i = 0; i < 3; i++) {
      int fd = open(paths[i], O_RDONLY);
      if (fd < 0) {
        refused++;
        continue;
      }
      read(fd, text, 6);
      if (strcmp(text, "SECRET") == 0) secret++;
      else inside++;
      close(fd);
    }
  }
  printf("%d inside, %d refused, %d secret\n", inside, refused, secret);
  return 0;
}
