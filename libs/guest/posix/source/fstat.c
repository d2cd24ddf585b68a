/* fstat, with the size of blocks, by which programs choose that of their own: wasi-libc leaves zero there. */
#include <sys/stat.h>
#include <wasi/api.h>
#include "errors.h"

static struct timespec time_of(__wasi_timestamp_t ns) {
  return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
}

static mode_t type_of(__wasi_filetype_t type) {
  switch (type) {
    case __WASI_FILETYPE_BLOCK_DEVICE:
      return S_IFBLK;
    case __WASI_FILETYPE_CHARACTER_DEVICE:
      return S_IFCHR;
    case __WASI_FILETYPE_DIRECTORY:
      return S_IFDIR;
    case __WASI_FILETYPE_REGULAR_FILE:
      return S_IFREG;
    case __WASI_FILETYPE_SOCKET_DGRAM:
    case __WASI_FILETYPE_SOCKET_STREAM:
      return S_IFSOCK;
    case __WASI_FILETYPE_SYMBOLIC_LINK:
      return S_IFLNK;
    default:
      return 0;
  }
}

int fstat(int fd, struct stat *about) {
  __wasi_filestat_t found;
  int error = __wasi_fd_filestat_get(fd, &found);
  if (error != 0) return fail(error);
  *about = (struct stat){ .st_dev = found.dev, .st_ino = found.ino, .st_nlink = found.nlink };
  about->st_mode = type_of(found.filetype);
  about->st_size = (off_t)found.size;
  about->st_blksize = 4096;
  about->st_blocks = (blkcnt_t)((found.size + 511) / 512);
  about->st_atim = time_of(found.atim);
  about->st_mtim = time_of(found.mtim);
  about->st_ctim = time_of(found.ctim);
  return 0;
}
