/*
 * echo: copies stdin to stdout until its end; on stderr `echoed N bytes`.
 *   --bytes N  ignores stdin, writes N bytes of 'x' in lines of 64 (for output faster than it is read)
 */
#include <unistd.h>

#include "guest.h"

static void write_all(const char *bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    ssize_t written = write(1, bytes + done, count - done);
    if (written <= 0) die(EXIT_CALL, "stdout: cannot be written");
    done += (size_t)written;
  }
}

int main(int argc, char **argv) {
  static char buffer[65536];
  uint64_t left = number_option(&argc, argv, "--bytes", 0), total = left;
  for (size_t i = 0; i < sizeof buffer; i++) buffer[i] = i % 64 == 63 ? '\n' : 'x';
  while (left > 0) {
    size_t now = left < sizeof buffer ? (size_t)left : sizeof buffer;
    write_all(buffer, now);
    left -= now;
  }
  ssize_t got;
  while (total == 0 && (got = read(0, buffer, sizeof buffer)) > 0) {
    write_all(buffer, (size_t)got);
    left += (uint64_t)got;
  }
  fprintf(stderr, "echoed %" PRIu64 " bytes\n", total == 0 ? left : total);
  return 0;
}
