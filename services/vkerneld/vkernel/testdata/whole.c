// Reads and writes of 8 MiB and a little at once, in every way that there is, of a file beneath /data and of standard output.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SIZE = (8 << 20) + 12345, PIECES = 9 };

static unsigned char *data, *back;

static void says(const char *what, long got, long wanted) {
  if (got != wanted) fprintf(stderr, "%s: %ld, not %ld (errno %d)\n", what, got, wanted, errno);
}

static void same(const char *what) {
  says(what, memcmp(data, back, SIZE), 0);
  memset(back, 0, SIZE);
}

/** The same bytes in unequal pieces, one of them empty. */
static void cut(struct iovec *pieces, unsigned char *bytes) {
  size_t at = 0;
  for (int i = 0; i < PIECES; i++) {
    size_t length = i == PIECES - 1 ? SIZE - at : i == 3 ? 0 : 300001 + 77777 * i;
    pieces[i] = (struct iovec){bytes + at, length};
    at += length;
  }
}

int main(void) {
  data = malloc(SIZE), back = calloc(1, SIZE);
  for (int i = 0; i < SIZE; i++) data[i] = (unsigned char)(i * 2654435761u >> 13);
  int fd = open("/data/big", O_CREAT | O_TRUNC | O_RDWR, 0666);
  says("write", write(fd, data, SIZE), SIZE);
  says("position", lseek(fd, 0, SEEK_CUR), SIZE);
  says("pread", pread(fd, back, SIZE, 0), SIZE);
  same("pread");
  says("rewind", lseek(fd, 0, SEEK_SET), 0);
  says("read", read(fd, back, SIZE), SIZE);
  same("read");
  says("read at the end", read(fd, back, SIZE), 0);
  says("pread beyond the end", pread(fd, back, SIZE, SIZE - 5), 5);
  struct iovec pieces[PIECES];
  cut(pieces, data);
  says("pwritev", pwritev(fd, pieces, PIECES, 4096), SIZE);
  cut(pieces, back);
  says("preadv", preadv(fd, pieces, PIECES, 4096), SIZE);
  same("preadv");
  close(fd);
  fd = open("/data/big", O_WRONLY | O_TRUNC | O_APPEND);
  cut(pieces, data);
  says("appended", writev(fd, pieces, PIECES), SIZE);
  says("appended", write(fd, data, SIZE), SIZE);
  says("its position", lseek(fd, 0, SEEK_CUR), 2l * SIZE);
  close(fd);
  fd = open("/data/big", O_RDONLY);
  says("read", read(fd, back, SIZE), SIZE);
  same("the first");
  says("read", read(fd, back, SIZE), SIZE);
  same("the second");
  says("standard output", write(1, data, SIZE), SIZE);
  return 0;
}
