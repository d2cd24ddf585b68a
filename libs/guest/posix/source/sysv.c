/* System V's shared memory. The segment of a key is the file sysv.KEY of /dev/shm; its number is that of the file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>
#include "descriptors.h"
#include "errors.h"
#include "mapping.h"
#include "sysv.h"

key_t ftok(const char *path, int project) {
  struct stat about;
  if (stat(path, &about) < 0) return -1;
  return (key_t)((project & 0xff) << 24 | (about.st_dev & 0xff) << 16 | (about.st_ino & 0xffff));
}

int sysv_inode(int number, struct inode **inode) {
  struct filesystem *fs = filesystem_at(1);
  char path[PATH_BYTES_MAX + 1];
  int error = filesystem_path_of(fs, (uint64_t)number, path);
  if (error == 0) error = filesystem_open(fs, path, 0, 0, inode);
  return error == ENOENT ? EINVAL : error;
}

int sysv_remove(int number) {
  struct filesystem *fs = filesystem_at(1);
  char path[PATH_BYTES_MAX + 1];
  int error = filesystem_path_of(fs, (uint64_t)number, path);
  return error != 0 ? error : filesystem_unlink(fs, path, false);
}

int sysv_open(const char *what, key_t key, int flags) {
  char path[64];
  int open_flags = O_RDWR | (flags & IPC_CREAT ? O_CREAT : 0) | (flags & IPC_EXCL ? O_EXCL : 0);
  if (key == IPC_PRIVATE) {
    unsigned random[2];
    if (getentropy(random, sizeof random) < 0) return -1;
    snprintf(path, sizeof path, "/dev/shm/sysv%s-private.%08x%08x", what, random[0], random[1]);
    open_flags |= O_CREAT | O_EXCL;
  } else {
    snprintf(path, sizeof path, "/dev/shm/sysv%s.%08x", what, (unsigned)key);
  }
  return open(path, open_flags, flags & 0777);
}

int shmget(key_t key, size_t bytes, int flags) {
  int fd = sysv_open("", key, flags);
  if (fd < 0) return -1;
  struct description *file = description_of((uint32_t)fd);
  struct inode *inode = file->inode;
  uint64_t has = inode_bytes(inode);
  // A segment that has no size yet is just being made.
  if (has == 0 && (flags & IPC_CREAT || key == IPC_PRIVATE) && bytes > 0) {
    inode_extend(inode, bytes);
    has = bytes;
  }
  int number = (int)inode->number;
  int error = bytes > has || (bytes == 0 && has == 0) ? EINVAL : 0;
  close(fd);
  return error != 0 ? fail(error) : number;
}

void *shmat(int number, const void *at, int flags) {
  struct inode *inode;
  void *address = NULL;
  int error = sysv_inode(number, &inode);
  if (error == 0) {
    if (at != NULL && flags & SHM_RND) at = (const void *)((uintptr_t)at & ~(uintptr_t)(SHMLBA - 1));
    error = (uintptr_t)at % SHMLBA != 0 ? EINVAL : 0;
    if (error == 0)
      error = mapping_add(inode, (void *)at, 0, inode_bytes(inode), (flags & SHM_RDONLY) == 0, &address);
    if (error == 0) inode_attached(inode, 1);
    inode_release(inode);
  }
  if (error == 0) return address;
  errno = error;
  return (void *)-1;
}

int shmdt(const void *address) {
  struct mapping *mapping = mapping_of(address);
  if (mapping == NULL || mapping->address != address || mapping->inode == NULL || mapping->offset != 0)
    return fail(EINVAL);
  inode_attached(mapping->inode, -1);
  return fail(mapping_remove((void *)address, mapping->bytes));
}

int shmctl(int number, int command, struct shmid_ds *about) {
  struct inode *inode;
  int error = sysv_inode(number, &inode);
  if (error != 0) return fail(error);
  switch (command) {
    case IPC_STAT:
      *about = (struct shmid_ds){ .shm_segsz = (size_t)inode_bytes(inode), .shm_perm.mode = inode->header->mode & 0777 };
      about->shm_ctime = (time_t)(inode_modified_ns(inode) / 1000000000);
      about->shm_nattch = inode->header->attached;
      about->shm_cpid = (pid_t)inode->header->creator;
      about->shm_lpid = (pid_t)inode->header->last;
      break;
    case IPC_SET:
      break;
    case IPC_RMID:
      error = sysv_remove(number);
      break;
    default:
      error = EINVAL;
  }
  inode_release(inode);
  return fail(error);
}
