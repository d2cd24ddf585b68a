// Reads a pipe into which nobody writes.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char text[8];
  int fd = open("/data/pipe", O_RDWR);
  printf("reading\n");
  fflush(stdout);
  return read(fd, text, 8);
}
