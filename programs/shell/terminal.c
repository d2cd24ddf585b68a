/* Whose the terminal is, where the library does not know. */
#include <errno.h>
#include <unistd.h>
#include "shell.h"

__attribute__((weak)) pid_t tcgetpgrp(int fd) {
  (void)fd;
  errno = ENOTTY;
  return -1;
}

__attribute__((weak)) int tcsetpgrp(int fd, pid_t group) {
  (void)fd, (void)group;
  errno = ENOTTY;
  return -1;
}
