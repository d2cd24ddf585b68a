/* Pipes, and descriptors once more. Which of them close on exec is kept here: a child gets all others. */
#include <errno.h>
#include <fcntl.h>
#include <odonata.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include "descriptors.h"
#include "errors.h"
#include "pipes.h"

static bool closes[FIRST_DESCRIPTOR];

bool closes_on_exec(int fd) { return fd >= 0 && fd < FIRST_DESCRIPTOR && closes[fd]; }

void set_closes_on_exec(int fd, bool on) {
  if (fd >= 0 && fd < FIRST_DESCRIPTOR) closes[fd] = on;
}

int pipe2(int ends[2], int flags) {
  if (flags & ~(O_CLOEXEC | O_NONBLOCK)) return fail(EINVAL);
  struct odonata_ends made;
  int error = odonata_pipe(&made);
  if (error != 0) return fail(error);
  ends[0] = (int)made.read;
  ends[1] = (int)made.write;
  for (int i = 0; i < 2; i++) {
    set_closes_on_exec(ends[i], (flags & O_CLOEXEC) != 0);
    if (flags & O_NONBLOCK) fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
  return 0;
}

int pipe(int ends[2]) { return pipe2(ends, 0); }

static int again(int fd, uint32_t to) {
  uint32_t made;
  int error = fd < 0 || is_shared((uint32_t)fd) ? (fd < 0 ? EBADF : ENOTSUP) : odonata_dup((uint32_t)fd, to, &made);
  if (error != 0) return fail(error);
  set_closes_on_exec((int)made, false);
  return (int)made;
}

int dup(int fd) { return again(fd, UINT32_MAX); }
int dup2(int fd, int to) { return to < 0 ? fail(EBADF) : again(fd, (uint32_t)to); }

int dup3(int fd, int to, int flags) {
  if (fd == to || (flags & ~O_CLOEXEC)) return fail(EINVAL);
  int made = dup2(fd, to);
  if (made >= 0) set_closes_on_exec(made, (flags & O_CLOEXEC) != 0);
  return made;
}
