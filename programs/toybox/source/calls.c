/*
 * Calls that programs written for Linux make a little differently, put before the C library's by the linker (--wrap): to open
 * for reading is 0 there, and files have modes. Here whoever may reach a file may read and write it, as its mount allows.
 */
#include <fcntl.h>
#include <sys/stat.h>

int __real_openat(int, const char *, int, ...);
int __wrap_openat(int fd, const char *path, int flags, ...) {
  if ((flags & (O_RDWR | O_EXEC | O_SEARCH)) == 0) flags |= O_RDONLY;
  return __real_openat(fd, path, flags, 0666);
}

int __real_open(const char *, int, ...);
int __wrap_open(const char *path, int flags, ...) {
  if ((flags & (O_RDWR | O_EXEC | O_SEARCH)) == 0) flags |= O_RDONLY;
  return __real_open(path, flags, 0666);
}

static int with_mode(int result, struct stat *about) {
  if (result < 0) return result;
  if (S_ISDIR(about->st_mode)) about->st_mode |= 0755;
  else if (S_ISLNK(about->st_mode)) about->st_mode |= 0777;
  else if (S_ISREG(about->st_mode)) about->st_mode |= 0644;
  else about->st_mode |= 0666;
  about->st_blksize = 4096;
  if (about->st_blocks == 0) about->st_blocks = (blkcnt_t)((about->st_size + 511) / 512);
  return result;
}

int __real_fstatat(int, const char *restrict, struct stat *restrict, int);
int __wrap_fstatat(int fd, const char *restrict path, struct stat *restrict about, int flags) {
  return with_mode(__real_fstatat(fd, path, about, flags), about);
}
int __real_stat(const char *restrict, struct stat *restrict);
int __wrap_stat(const char *restrict path, struct stat *restrict about) { return with_mode(__real_stat(path, about), about); }
int __real_lstat(const char *restrict, struct stat *restrict);
int __wrap_lstat(const char *restrict path, struct stat *restrict about) { return with_mode(__real_lstat(path, about), about); }
int __real_fstat(int, struct stat *);
int __wrap_fstat(int fd, struct stat *about) { return with_mode(__real_fstat(fd, about), about); }

const _Bool odonata_has_shared_files = 0;
