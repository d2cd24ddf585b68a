/* fcntl, flock, lockf. The rest of fcntl is as wasi-libc has it. */
#include <errno.h>
#include <fcntl.h>
#include <odonata.h>
#include <stdarg.h>
#include <sys/file.h>
#include <unistd.h>
#include <wasi/api.h>
#include "descriptors.h"
#include "errors.h"
#include "locks.h"
#include "pipes.h"

/** The bytes that `lock` means, from the beginning of the file. 0 or errno. */
static int range_of(const struct description *file, const struct flock *lock, int64_t *begin, int64_t *end) {
  int64_t from = lock->l_start;
  if (lock->l_whence == SEEK_CUR) from += (int64_t)file->position;
  else if (lock->l_whence == SEEK_END) from += (int64_t)inode_bytes(file->inode);
  else if (lock->l_whence != SEEK_SET) return EINVAL;
  int64_t to = lock->l_len == 0 ? LOCK_FCNTL_BYTES - 1 : from + lock->l_len - 1;
  if (lock->l_len < 0) {
    to = from - 1;
    from += lock->l_len;
  }
  if (from < 0) return EINVAL;
  if (from >= LOCK_FCNTL_BYTES || to >= LOCK_FCNTL_BYTES || to < from) return EOVERFLOW;
  *begin = from;
  *end = to;
  return 0;
}

static int file_lock(int fd, int command, struct flock *lock) {
  struct description *file = description_of((uint32_t)fd);
  if (file == NULL) {
    __wasi_fdstat_t stat;
    // Locks of a node's files there are none: a lock that no other process sees would be a lie.
    return __wasi_fd_fdstat_get(fd, &stat) == 0 ? ENOTSUP : EBADF;
  }
  if (file->inode == NULL) return EINVAL;
  int mode;
  if (lock->l_type == F_RDLCK) mode = ODONATA_LOCK_SHARED;
  else if (lock->l_type == F_WRLCK) mode = ODONATA_LOCK_EXCLUSIVE;
  else if (lock->l_type == F_UNLCK) mode = 0;
  else return EINVAL;
  int64_t begin;
  int64_t end;
  int error = range_of(file, lock, &begin, &end);
  if (error != 0) return error;
  if (command != F_GETLK) return lock_range(file->inode, begin, end, mode, command == F_SETLKW);
  error = mode == 0 ? 0 : lock_probe(file->inode, begin, end, mode);
  if (error == 0) lock->l_type = F_UNLCK;
  if (error != EAGAIN) return error;
  // Somebody, somewhere in it: who and where, the directory does not tell.
  lock->l_type = F_WRLCK;
  lock->l_whence = SEEK_SET;
  lock->l_start = begin;
  lock->l_len = end == LOCK_FCNTL_BYTES - 1 ? 0 : end - begin + 1;
  lock->l_pid = -1;
  return 0;
}

/* wasi-libc has no numbers for these; as Linux has them. */
#ifndef F_DUPFD
#define F_DUPFD 0
#endif
#ifndef F_DUPFD_CLOEXEC
#define F_DUPFD_CLOEXEC 1030
#endif

/** Again, by the lowest free number from `least` on. */
static int dup_from(int fd, int least) {
  __wasi_fdstat_t stat;
  if (least < 0 || least >= FIRST_DESCRIPTOR) return fail(EINVAL);
  while (least < FIRST_DESCRIPTOR && __wasi_fd_fdstat_get((__wasi_fd_t)least, &stat) == 0) least++;
  return dup2(fd, least);
}

int fcntl(int fd, int command, ...) {
  va_list args;
  va_start(args, command);
  __wasi_fdstat_t stat;
  int flags;
  int result = 0;
  __wasi_errno_t error = 0;
  switch (command) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
      result = fail(file_lock(fd, command, va_arg(args, struct flock *)));
      break;
    case F_GETFD:
      error = __wasi_fd_fdstat_get(fd, &stat);
      // Those of the shared file systems no child gets.
      result = error != 0 ? fail(error) : is_shared((uint32_t)fd) || closes_on_exec(fd) ? FD_CLOEXEC : 0;
      break;
    case F_SETFD:
      error = __wasi_fd_fdstat_get(fd, &stat);
      if (error == 0) set_closes_on_exec(fd, (va_arg(args, int) & FD_CLOEXEC) != 0);
      result = fail(error);
      break;
    case F_GETFL:
      error = __wasi_fd_fdstat_get(fd, &stat);
      if (error != 0) {
        result = fail(error);
        break;
      }
      result = stat.fs_flags;
      if (stat.fs_rights_base & (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_READDIR)) result |= O_RDONLY;
      if (stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE) result |= O_WRONLY;
      break;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      result = dup_from(fd, va_arg(args, int));
      if (result >= 0 && command == F_DUPFD_CLOEXEC) set_closes_on_exec(result, true);
      break;
    case F_SETFL:
      flags = va_arg(args, int);
      result = fail(__wasi_fd_fdstat_set_flags(fd, (__wasi_fdflags_t)(flags & 0xfff)));
      break;
    default:
      result = fail(EINVAL);
  }
  va_end(args);
  return result;
}

int flock(int fd, int operation) {
  struct description *file = description_of((uint32_t)fd);
  if (file == NULL) return fcntl(fd, F_GETFL) < 0 ? -1 : fail(ENOTSUP);
  if (file->inode == NULL) return fail(EINVAL);
  bool wait = (operation & LOCK_NB) == 0;
  switch (operation & ~LOCK_NB) {
    case LOCK_SH:
      return fail(lock_whole(file, ODONATA_LOCK_SHARED, wait));
    case LOCK_EX:
      return fail(lock_whole(file, ODONATA_LOCK_EXCLUSIVE, wait));
    case LOCK_UN:
      return fail(lock_whole(file, 0, wait));
    default:
      return fail(EINVAL);
  }
}

int lockf(int fd, int command, off_t bytes) {
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = bytes };
  switch (command) {
    case F_ULOCK:
      lock.l_type = F_UNLCK;
      return fcntl(fd, F_SETLK, &lock);
    case F_LOCK:
      return fcntl(fd, F_SETLKW, &lock);
    case F_TLOCK:
      return fcntl(fd, F_SETLK, &lock);
    case F_TEST:
      if (fcntl(fd, F_GETLK, &lock) < 0) return -1;
      return lock.l_type == F_UNLCK ? 0 : fail(EACCES);
    default:
      return fail(EINVAL);
  }
}
