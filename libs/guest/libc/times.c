/*
 * futimens and utimensat with UTIME_NOW and UTIME_OMIT in each place. Link it in where the C library is that of Debian 12
 * (wasi-libc of 2022), in which these two end with EINVAL for the time of modification, without a call:
 *
 *     clang --target=wasm32-wasi -O2 prog.c libs/guest/libc/times.c -o prog.wasm
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <wasi/api.h>

/* One of the two: its flags are those of the access time, or the same shifted by two. */
static bool odonata_time(const struct timespec *time, int shift, __wasi_timestamp_t *ns, __wasi_fstflags_t *flags) {
  *ns = 0;
  if (time == NULL || time->tv_nsec == UTIME_NOW) {
    *flags |= __WASI_FSTFLAGS_ATIM_NOW << shift;
    return true;
  }
  if (time->tv_nsec == UTIME_OMIT) return true;
  if (time->tv_nsec < 0 || time->tv_nsec >= 1000000000 || time->tv_sec < 0) return false;
  *flags |= __WASI_FSTFLAGS_ATIM << shift;
  return !__builtin_mul_overflow((unsigned long long)time->tv_sec, 1000000000ull, ns) &&
         !__builtin_add_overflow(*ns, (unsigned long long)time->tv_nsec, ns);
}

static bool odonata_times(const struct timespec *times, __wasi_timestamp_t *ns, __wasi_fstflags_t *flags) {
  *flags = 0;
  return odonata_time(times, 0, &ns[0], flags) && odonata_time(times ? times + 1 : NULL, 2, &ns[1], flags);
}

static int odonata_result(__wasi_errno_t error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int futimens(int fd, const struct timespec *times) {
  __wasi_timestamp_t ns[2];
  __wasi_fstflags_t flags;
  if (!odonata_times(times, ns, &flags)) return odonata_result(__WASI_ERRNO_INVAL);
  return odonata_result(__wasi_fd_filestat_set_times(fd, ns[0], ns[1], flags));
}

/* utimensat, once the library has found the directory. */
int __wasilibc_nocwd_utimensat(int fd, const char *path, const struct timespec *times, int flag) {
  __wasi_timestamp_t ns[2];
  __wasi_fstflags_t flags;
  if (!odonata_times(times, ns, &flags)) return odonata_result(__WASI_ERRNO_INVAL);
  __wasi_lookupflags_t follow = flag & AT_SYMLINK_NOFOLLOW ? 0 : __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW;
  return odonata_result(__wasi_path_filestat_set_times(fd, follow, path, ns[0], ns[1], flags));
}
