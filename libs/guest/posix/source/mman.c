/* <sys/mman.h> */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "descriptors.h"
#include "errors.h"
#include "mapping.h"

#define PAGE 4096

/** "/NAME" of shared memory and semaphores: one component below /dev/shm. 0 or errno. */
static int shm_path(const char *name, char *path, size_t bytes) {
  while (*name == '/') name++;
  if (*name == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return EINVAL;
  return snprintf(path, bytes, "/dev/shm/%s", name) >= (int)bytes ? ENAMETOOLONG : 0;
}

int shm_open(const char *name, int flags, mode_t mode) {
  char path[PATH_BYTES_MAX + 32];
  int error = shm_path(name, path, sizeof path);
  return error != 0 ? fail(error) : open(path, flags, mode);
}

int shm_unlink(const char *name) {
  char path[PATH_BYTES_MAX + 32];
  int error = shm_path(name, path, sizeof path);
  return error != 0 ? fail(error) : unlink(path);
}

/** A private copy of a file of any kind. */
static int copy_of_file(void *at, int fd, size_t bytes, off_t offset) {
  for (size_t done = 0; done < bytes;) {
    ssize_t got = pread(fd, (char *)at + done, bytes - done, offset + (off_t)done);
    if (got < 0) return errno;
    if (got == 0) break;
    done += (size_t)got;
  }
  return 0;
}

void *mmap(void *hint, size_t bytes, int protection, int flags, int fd, off_t offset) {
  void *address = MAP_FAILED;
  void *at = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? hint : NULL;
  bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
  bool writable = (protection & PROT_WRITE) != 0;
  int error = 0;
  struct description *file = description_of((uint32_t)fd);
  if (bytes == 0 || offset < 0 || offset % PAGE != 0 || (uintptr_t)at % PAGE != 0) error = EINVAL;
  else if (protection & PROT_EXEC) error = ENOTSUP;
  else if (flags & MAP_FIXED_NOREPLACE) error = ENOTSUP;
  // Nobody inherits memory, so what is shared without a name is shared with nobody.
  else if (flags & MAP_ANONYMOUS) error = mapping_add_private(at, bytes, &address);
  else if (shared && file != NULL && file->inode == NULL) error = ENODEV;
  else if (shared && file != NULL) {
    bool may_write = (file->rights & UINT64_C(1) << 6) != 0;
    error = writable && !may_write ? EACCES : mapping_add(file->inode, at, (uint64_t)offset, bytes, writable, &address);
  } else if (shared) {
    // A file of a node: others of it would not see what is written here.
    error = fcntl(fd, F_GETFL) < 0 ? EBADF : ENODEV;
  } else {
    error = mapping_add_private(at, bytes, &address);
    if (error == 0 && (error = copy_of_file(address, fd, bytes, offset)) != 0) mapping_remove(address, bytes);
  }
  if (error == 0) return address;
  errno = error;
  return MAP_FAILED;
}

int munmap(void *address, size_t bytes) {
  if ((uintptr_t)address % PAGE != 0 || bytes == 0) return fail(EINVAL);
  return fail(mapping_remove(address, bytes));
}

int mprotect(void *address, size_t bytes, int protection) {
  if ((uintptr_t)address % PAGE != 0) return fail(EINVAL);
  if (bytes == 0) return 0;
  if (protection == PROT_NONE || protection & PROT_EXEC) return fail(ENOTSUP);
  return fail(mapping_protect(address, bytes, (protection & PROT_WRITE) != 0));
}

int msync(void *address, size_t bytes, int flags) {
  if ((uintptr_t)address % PAGE != 0 || (flags & MS_SYNC && flags & MS_ASYNC)) return fail(EINVAL);
  // Others see each byte at once, synced or not; ASYNC promises no more.
  return flags & MS_SYNC ? fail(mapping_sync(address, bytes)) : 0;
}

int posix_madvise(void *address, size_t bytes, int advice) {
  (void)address, (void)bytes, (void)advice;
  return 0;
}

int madvise(void *address, size_t bytes, int advice) {
  // DONTNEED of private memory would have to make zeros of it; the others are advice.
  struct mapping *mapping = mapping_of(address);
  if (advice == MADV_DONTNEED && (mapping == NULL || mapping->inode == NULL)) return fail(ENOTSUP);
  (void)bytes;
  return 0;
}

/** Frames are the cluster's to move: nothing is held in place. */
int mlock(const void *address, size_t bytes) {
  (void)address, (void)bytes;
  return fail(ENOTSUP);
}

int munlock(const void *address, size_t bytes) {
  (void)address, (void)bytes;
  return 0;
}

int mlockall(int flags) {
  (void)flags;
  return fail(ENOTSUP);
}

int munlockall(void) { return 0; }
