#include "errors.h"
#include <errno.h>
#include <wasi/api.h>

_Static_assert(EACCES_ == EACCES && EAGAIN_ == EAGAIN && EBADF_ == EBADF && EBUSY_ == EBUSY && EDEADLK_ == EDEADLK, "");
_Static_assert(EEXIST_ == EEXIST && EFBIG_ == EFBIG && EINVAL_ == EINVAL && EIO_ == EIO && EISDIR_ == EISDIR, "");
_Static_assert(EMFILE_ == EMFILE && ENAMETOOLONG_ == ENAMETOOLONG && ENODEV_ == ENODEV && ENOENT_ == ENOENT, "");
_Static_assert(ENOMEM_ == ENOMEM && ENOSPC_ == ENOSPC && ENOTDIR_ == ENOTDIR && ENOTEMPTY_ == ENOTEMPTY, "");
_Static_assert(ENOTRECOVERABLE_ == ENOTRECOVERABLE && ENOTSOCK_ == ENOTSOCK && ENOTSUP_ == ENOTSUP, "");
_Static_assert(EOVERFLOW_ == EOVERFLOW && EOWNERDEAD_ == EOWNERDEAD && EPERM_ == EPERM && EROFS_ == EROFS, "");
_Static_assert(ESPIPE_ == ESPIPE && ESRCH_ == ESRCH && ETIMEDOUT_ == ETIMEDOUT && EXDEV_ == EXDEV, "");

_Static_assert(E2BIG_ == E2BIG && EIDRM_ == EIDRM && ERANGE_ == ERANGE, "");

int fail(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

uint64_t now_ns(int clock) {
  __wasi_timestamp_t now = 0;
  if (__wasi_clock_time_get((__wasi_clockid_t)clock, 1, &now) != 0) return 0;
  return now;
}
