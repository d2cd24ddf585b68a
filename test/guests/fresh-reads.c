/*
 * fresh-reads: reads into memory that was never touched, as a program that has made many calls before: each is whole, as far as
 * the file goes.
 *
 *   fresh-reads FILE     of 1 MiB and more
 *
 * Prints "N short", and each read that was.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CALLS = 4000, BYTES = 1 << 20, TAIL = 80000, PAGE = 4096, WASM_PAGE = 65536 };

static int wrong;

static void says(const char *what, int touched, long got, long wanted) {
  if (got == wanted) return;
  wrong++;
  printf("%s, %d pages touched: %ld, not %ld\n", what, touched, got, wanted);
}

/** Memory of which its first pages alone were touched. */
static unsigned char *fresh(int touched) {
  unsigned char *memory = (unsigned char *)(__builtin_wasm_memory_grow(0, BYTES / WASM_PAGE + 1) * WASM_PAGE);
  for (int i = 0; i < touched; i++) memory[i * PAGE] = 1;
  return memory;
}

int main(int argc, char **argv) {
  static unsigned char expected[BYTES];
  int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
  long size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
  if (size < BYTES || pread(fd, expected, BYTES, 0) != BYTES) return 2;
  unsigned char little[100];
  for (int i = 0; i < CALLS; i++) says("a little", 0, pread(fd, little, sizeof little, i), sizeof little);
  for (int touched = 0; touched < 20; touched++) {
    unsigned char *at_position = fresh(touched), *at_offset = fresh(touched), *end = fresh(touched);
    lseek(fd, 0, SEEK_SET);
    says("read", touched, read(fd, at_position, BYTES), BYTES);
    says("its position", touched, lseek(fd, 0, SEEK_CUR), BYTES);
    says("its bytes", touched, memcmp(at_position, expected, BYTES), 0);
    says("pread", touched, pread(fd, at_offset, BYTES, 0), BYTES);
    says("its bytes", touched, memcmp(at_offset, expected, BYTES), 0);
    says("the end of the file", touched, pread(fd, end, BYTES, size - TAIL), TAIL);
  }
  printf("%d short\n", wrong);
  return 0;
}
