/*
 * Values of <errno.h>, and the clock, for source files that use atomics: clang 14 turns atomics into plain accesses in a
 * source file that knows of a thread-local variable, and errno is one.
 */
#ifndef ERRORS_H
#define ERRORS_H
#include <stdint.h>

enum {
  E2BIG_ = 1,
  EACCES_ = 2,
  EAGAIN_ = 6,
  EBADF_ = 8,
  EBUSY_ = 10,
  EDEADLK_ = 16,
  EEXIST_ = 20,
  EFBIG_ = 22,
  EIDRM_ = 24,
  EINVAL_ = 28,
  EIO_ = 29,
  EISDIR_ = 31,
  EMFILE_ = 33,
  ENAMETOOLONG_ = 37,
  ENODEV_ = 43,
  ENOENT_ = 44,
  ENOMEM_ = 48,
  ENOSPC_ = 51,
  ENOTDIR_ = 54,
  ENOTEMPTY_ = 55,
  ENOTRECOVERABLE_ = 56,
  ENOTSOCK_ = 57,
  ENOTSUP_ = 58,
  EOVERFLOW_ = 61,
  EOWNERDEAD_ = 62,
  EPERM_ = 63,
  ERANGE_ = 68,
  EROFS_ = 69,
  ESPIPE_ = 70,
  ESRCH_ = 71,
  ETIMEDOUT_ = 73,
  EXDEV_ = 75,
};

enum { CLOCK_OF_THE_WORLD = 0, CLOCK_MONOTONIC_ = 1 };

uint64_t now_ns(int clock);
/** Sets errno, and gives -1; 0 for 0. */
int fail(int error);
#endif
