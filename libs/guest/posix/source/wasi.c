/*
 * The calls of WASI as wasi-libc makes them, in the place of its own: those on descriptors and paths of the shared file
 * systems are answered here, all others go on to the virtual kernel. So open, read, stat, opendir, stdio and whatever else
 * a C library builds from these know the shared file systems.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>
#include <wasi/libc.h>
#include "descriptors.h"
#include "errors.h"
#include "locks.h"
#include "pipes.h"
#include "wasi-calls.h"

typedef __wasi_errno_t errno_of_wasi;

#define DEVICE UINT64_C(0x6f646f)

/** A program that has another one sees the virtual kernel's /shared (docs/files.md), not this library's. */
__attribute__((weak)) const bool odonata_has_shared_files = true;

/** Makes /shared and /dev/shm known; relative paths begin at PWD, where a program is started with it. */
__attribute__((constructor(60))) static void mount(void) {
  const volatile bool *has = &odonata_has_shared_files;
  for (unsigned which = 0; *has && filesystem_at(which) != NULL; which++) {
    struct description root = { .filesystem = filesystem_at(which), .rights = ~UINT64_C(0) };
    uint32_t fd;
    if (descriptor_add(&root, &fd) == 0) __wasilibc_register_preopened_fd((int)fd, root.filesystem->mount);
  }
  const char *start = getenv("PWD");
  // Where it leads nowhere the program says so at the first path that it opens.
  if (start != NULL) (void)chdir(start);
}

/** Where a call on a path goes: a file system here, or on to the virtual kernel. */
static int here(uint32_t fd, const char *path, struct description **at, char *resolved) {
  *at = description_of(fd);
  if (*at == NULL) return EBADF_;
  if ((*at)->inode != NULL) return ENOTDIR_;
  return resolve(*at, path, resolved);
}

static void describe(struct filesystem *fs, struct inode *inode, const struct found *found, __wasi_filestat_t *stat) {
  memset(stat, 0, sizeof *stat);
  bool directory = inode == NULL;
  stat->dev = DEVICE + (fs->durable ? 0 : 1);
  stat->ino = directory ? found->inode : inode->number;
  stat->filetype = directory ? __WASI_FILETYPE_DIRECTORY : __WASI_FILETYPE_REGULAR_FILE;
  stat->nlink = 1;
  stat->size = directory ? 0 : inode_bytes(inode);
  stat->mtim = directory ? found->created_ns : inode_modified_ns(inode);
  stat->atim = stat->ctim = stat->mtim;
}

errno_of_wasi __wasi_path_open(__wasi_fd_t fd, __wasi_lookupflags_t lookup, const char *path, __wasi_oflags_t oflags,
                               __wasi_rights_t rights, __wasi_rights_t inheriting, __wasi_fdflags_t flags,
                               __wasi_fd_t *opened) {
  if (!is_shared(fd)) return RAW(path_open, fd, lookup, path, strlen(path), oflags, rights, inheriting, flags, opened);
  struct description *at;
  struct description made = { .rights = rights, .flags = flags };
  int error = here(fd, path, &at, made.path);
  if (error != 0) return (errno_of_wasi)error;
  made.filesystem = at->filesystem;
  error = filesystem_open(at->filesystem, made.path, oflags, 0666, &made.inode);
  if (error != 0) return (errno_of_wasi)error;
  if (made.inode != NULL && (rights & __WASI_RIGHTS_FD_WRITE) && !made.inode->writable) error = EACCES_;
  if (made.inode == NULL && (rights & __WASI_RIGHTS_FD_WRITE) && !(oflags & OPEN_DIRECTORY)) error = EISDIR_;
  uint32_t number = 0;
  if (error == 0) error = descriptor_add(&made, &number);
  *opened = (__wasi_fd_t)number;
  if (error != 0 && made.inode != NULL) inode_release(made.inode);
  return (errno_of_wasi)error;
}

errno_of_wasi __wasi_fd_close(__wasi_fd_t fd) {
  set_closes_on_exec((int)fd, false);
  return is_shared(fd) ? (errno_of_wasi)descriptor_close(fd) : RAW(fd_close, fd);
}

errno_of_wasi __wasi_fd_renumber(__wasi_fd_t fd, __wasi_fd_t to) {
  return is_shared(fd) || is_shared(to) ? (errno_of_wasi)descriptor_renumber(fd, to) : RAW(fd_renumber, fd, to);
}

/** The file of a descriptor that may be used so. */
static int file_of(uint32_t fd, uint64_t right, struct description **out) {
  struct description *description = description_of(fd);
  if (description == NULL) return EBADF_;
  if (description->inode == NULL) return EISDIR_;
  if (right != 0 && !(description->rights & right)) return EBADF_;
  *out = description;
  return 0;
}

static int read_at(struct description *file, uint64_t offset, const __wasi_iovec_t *iovs, size_t count, size_t *total) {
  *total = 0;
  for (size_t i = 0; i < count; i++) {
    size_t done;
    int error = inode_read(file->inode, offset + *total, iovs[i].buf, iovs[i].buf_len, &done);
    if (error != 0) return error;
    *total += done;
    if (done < iovs[i].buf_len) break;
  }
  return 0;
}

static int write_at(struct description *file, uint64_t offset, const __wasi_ciovec_t *iovs, size_t count, size_t *total) {
  *total = 0;
  for (size_t i = 0; i < count; i++) {
    int error = inode_write(file->inode, offset + *total, iovs[i].buf, iovs[i].buf_len);
    if (error != 0) return *total > 0 ? 0 : error;
    *total += iovs[i].buf_len;
  }
  return 0;
}

errno_of_wasi __wasi_fd_pread(__wasi_fd_t fd, const __wasi_iovec_t *iovs, size_t count, __wasi_filesize_t offset,
                              __wasi_size_t *done) {
  if (!is_shared(fd)) return RAW(fd_pread, fd, iovs, count, offset, done);
  struct description *file;
  int error = file_of(fd, __WASI_RIGHTS_FD_READ, &file);
  return (errno_of_wasi)(error != 0 ? error : read_at(file, offset, iovs, count, done));
}

errno_of_wasi __wasi_fd_read(__wasi_fd_t fd, const __wasi_iovec_t *iovs, size_t count, __wasi_size_t *done) {
  if (!is_shared(fd)) return RAW(fd_read, fd, iovs, count, done);
  struct description *file;
  int error = file_of(fd, __WASI_RIGHTS_FD_READ, &file);
  if (error == 0) error = read_at(file, file->position, iovs, count, done);
  if (error == 0) file->position += *done;
  return (errno_of_wasi)error;
}

errno_of_wasi __wasi_fd_pwrite(__wasi_fd_t fd, const __wasi_ciovec_t *iovs, size_t count, __wasi_filesize_t offset,
                               __wasi_size_t *done) {
  if (!is_shared(fd)) return RAW(fd_pwrite, fd, iovs, count, offset, done);
  struct description *file;
  int error = file_of(fd, __WASI_RIGHTS_FD_WRITE, &file);
  return (errno_of_wasi)(error != 0 ? error : write_at(file, offset, iovs, count, done));
}

errno_of_wasi __wasi_fd_write(__wasi_fd_t fd, const __wasi_ciovec_t *iovs, size_t count, __wasi_size_t *done) {
  if (!is_shared(fd)) {
    errno_of_wasi error = RAW(fd_write, fd, iovs, count, done);
    // As a pipe without readers has it.
    if (error == __WASI_ERRNO_PIPE) raise(SIGPIPE);
    return error;
  }
  struct description *file;
  int error = file_of(fd, __WASI_RIGHTS_FD_WRITE, &file);
  if (error != 0) return (errno_of_wasi)error;
  if (file->flags & __WASI_FDFLAGS_APPEND) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += iovs[i].buf_len;
    if (!file->inode->writable) return EACCES_;
    file->position = inode_append_at(file->inode, bytes);
  }
  error = write_at(file, file->position, iovs, count, done);
  if (error == 0) file->position += *done;
  return (errno_of_wasi)error;
}

errno_of_wasi __wasi_fd_seek(__wasi_fd_t fd, __wasi_filedelta_t offset, __wasi_whence_t whence, __wasi_filesize_t *now) {
  if (!is_shared(fd)) return RAW(fd_seek, fd, offset, whence, now);
  struct description *file;
  int error = file_of(fd, 0, &file);
  if (error != 0) return (errno_of_wasi)error;
  int64_t from = 0;
  if (whence == __WASI_WHENCE_CUR) from = (int64_t)file->position;
  if (whence == __WASI_WHENCE_END) from = (int64_t)inode_bytes(file->inode);
  int64_t to;
  if (__builtin_add_overflow(from, offset, &to)) return EOVERFLOW_;
  if (to < 0) return EINVAL_;
  file->position = *now = (uint64_t)to;
  return 0;
}

errno_of_wasi __wasi_fd_tell(__wasi_fd_t fd, __wasi_filesize_t *now) {
  return is_shared(fd) ? __wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, now) : RAW(fd_tell, fd, now);
}

errno_of_wasi __wasi_fd_fdstat_get(__wasi_fd_t fd, __wasi_fdstat_t *stat) {
  if (!is_shared(fd)) return RAW(fd_fdstat_get, fd, stat);
  struct description *description = description_of(fd);
  if (description == NULL) return EBADF_;
  bool directory = description->inode == NULL;
  stat->fs_filetype = directory ? __WASI_FILETYPE_DIRECTORY : __WASI_FILETYPE_REGULAR_FILE;
  stat->fs_flags = description->flags;
  stat->fs_rights_base = description->rights;
  stat->fs_rights_inheriting = ~UINT64_C(0);
  return 0;
}

errno_of_wasi __wasi_fd_fdstat_set_flags(__wasi_fd_t fd, __wasi_fdflags_t flags) {
  if (!is_shared(fd)) return RAW(fd_fdstat_set_flags, fd, flags);
  struct description *description = description_of(fd);
  if (description == NULL) return EBADF_;
  description->flags = flags;
  return 0;
}

errno_of_wasi __wasi_fd_fdstat_set_rights(__wasi_fd_t fd, __wasi_rights_t base, __wasi_rights_t inheriting) {
  if (!is_shared(fd)) return RAW(fd_fdstat_set_rights, fd, base, inheriting);
  struct description *description = description_of(fd);
  if (description == NULL) return EBADF_;
  description->rights &= base;
  return 0;
}

errno_of_wasi __wasi_fd_filestat_get(__wasi_fd_t fd, __wasi_filestat_t *stat) {
  if (!is_shared(fd)) return RAW(fd_filestat_get, fd, stat);
  struct description *description = description_of(fd);
  if (description == NULL) return EBADF_;
  struct found found = { .state = ENTRY_DIRECTORY };
  int error = description->inode == NULL ? filesystem_find(description->filesystem, description->path, &found) : 0;
  if (error == 0) describe(description->filesystem, description->inode, &found, stat);
  return (errno_of_wasi)error;
}

errno_of_wasi __wasi_path_filestat_get(__wasi_fd_t fd, __wasi_lookupflags_t flags, const char *path,
                                       __wasi_filestat_t *stat) {
  if (!is_shared(fd)) return RAW(path_filestat_get, fd, flags, path, strlen(path), stat);
  struct description *at;
  char resolved[PATH_BYTES_MAX + 1];
  struct found found;
  struct inode *inode = NULL;
  int error = here(fd, path, &at, resolved);
  if (error == 0) error = filesystem_find(at->filesystem, resolved, &found);
  if (error == 0 && found.state == ENTRY_FILE) error = filesystem_open(at->filesystem, resolved, 0, 0, &inode);
  if (error != 0) return (errno_of_wasi)error;
  describe(at->filesystem, inode, &found, stat);
  if (inode != NULL) inode_release(inode);
  return 0;
}

errno_of_wasi __wasi_fd_filestat_set_size(__wasi_fd_t fd, __wasi_filesize_t size) {
  if (!is_shared(fd)) return RAW(fd_filestat_set_size, fd, size);
  struct description *file;
  int error = file_of(fd, __WASI_RIGHTS_FD_WRITE, &file);
  return (errno_of_wasi)(error != 0 ? error : inode_truncate(file->inode, size));
}

errno_of_wasi __wasi_fd_allocate(__wasi_fd_t fd, __wasi_filesize_t offset, __wasi_filesize_t len) {
  if (!is_shared(fd)) return RAW(fd_allocate, fd, offset, len);
  struct description *file;
  int error = file_of(fd, __WASI_RIGHTS_FD_WRITE, &file);
  if (error == 0 && !file->inode->writable) error = EACCES_;
  if (error == 0 && (offset > FILE_BYTES_MAX || len > FILE_BYTES_MAX - offset)) error = EFBIG_;
  if (error == 0) inode_extend(file->inode, offset + len);
  return (errno_of_wasi)error;
}

errno_of_wasi __wasi_fd_filestat_set_times(__wasi_fd_t fd, __wasi_timestamp_t atim, __wasi_timestamp_t mtim,
                                           __wasi_fstflags_t flags) {
  if (!is_shared(fd)) return RAW(fd_filestat_set_times, fd, atim, mtim, flags);
  struct description *file;
  int error = file_of(fd, 0, &file);
  if (error != 0) return (errno_of_wasi)error;
  if (!file->inode->writable) return EACCES_;
  if (flags & __WASI_FSTFLAGS_MTIM_NOW) inode_touch(file->inode);
  else if (flags & __WASI_FSTFLAGS_MTIM) inode_set_modified(file->inode, mtim);
  return 0;
}

errno_of_wasi __wasi_path_filestat_set_times(__wasi_fd_t fd, __wasi_lookupflags_t lookup, const char *path,
                                             __wasi_timestamp_t atim, __wasi_timestamp_t mtim, __wasi_fstflags_t flags) {
  if (!is_shared(fd)) return RAW(path_filestat_set_times, fd, lookup, path, strlen(path), atim, mtim, flags);
  __wasi_fd_t opened;
  errno_of_wasi error = __wasi_path_open(fd, lookup, path, 0, __WASI_RIGHTS_FD_READ, 0, 0, &opened);
  if (error != 0) return error;
  error = __wasi_fd_filestat_set_times(opened, atim, mtim, flags);
  descriptor_close(opened);
  return error;
}

static errno_of_wasi synced(__wasi_fd_t fd) {
  struct description *description = description_of(fd);
  if (description == NULL) return EBADF_;
  if (description->inode == NULL) return 0;
  return (errno_of_wasi)inode_sync(description->inode, 0, FILE_BYTES_MAX);
}

errno_of_wasi __wasi_fd_sync(__wasi_fd_t fd) { return is_shared(fd) ? synced(fd) : RAW(fd_sync, fd); }
errno_of_wasi __wasi_fd_datasync(__wasi_fd_t fd) { return is_shared(fd) ? synced(fd) : RAW(fd_datasync, fd); }

errno_of_wasi __wasi_fd_advise(__wasi_fd_t fd, __wasi_filesize_t offset, __wasi_filesize_t len, __wasi_advice_t advice) {
  if (!is_shared(fd)) return RAW(fd_advise, fd, offset, len, advice);
  return description_of(fd) == NULL ? EBADF_ : 0;
}

errno_of_wasi __wasi_fd_readdir(__wasi_fd_t fd, uint8_t *buffer, __wasi_size_t bytes, __wasi_dircookie_t cookie,
                                __wasi_size_t *used) {
  if (!is_shared(fd)) return RAW(fd_readdir, fd, buffer, bytes, cookie, used);
  struct description *directory = description_of(fd);
  if (directory == NULL) return EBADF_;
  if (directory->inode != NULL) return ENOTDIR_;
  // Cookies: 0 begins with "." and "..", then each entry has its place and two more.
  *used = 0;
  while (*used < bytes) {
    char name[PATH_BYTES_MAX + 1];
    struct found found = { .state = ENTRY_DIRECTORY };
    if (cookie < 2) {
      strcpy(name, cookie == 0 ? "." : "..");
      cookie++;
    } else {
      uint64_t place = cookie - 2;
      int error = filesystem_list(directory->filesystem, directory->path, &place, name, &found);
      if (error == ENOENT_) return 0;
      if (error != 0) return (errno_of_wasi)error;
      cookie = place + 3;
    }
    size_t length = strlen(name);
    __wasi_dirent_t entry = { .d_next = cookie, .d_ino = found.inode, .d_namlen = length };
    entry.d_type = found.state == ENTRY_FILE ? __WASI_FILETYPE_REGULAR_FILE : __WASI_FILETYPE_DIRECTORY;
    // The last one may be cut: then it is asked for again.
    size_t head = sizeof entry < bytes - *used ? sizeof entry : bytes - *used;
    memcpy(buffer + *used, &entry, head);
    *used += head;
    size_t tail = length < bytes - *used ? length : bytes - *used;
    memcpy(buffer + *used, name, tail);
    *used += tail;
  }
  return 0;
}

typedef int change(struct filesystem *fs, const char *path);
static int remove_file(struct filesystem *fs, const char *path) { return filesystem_unlink(fs, path, false); }
static int remove_directory(struct filesystem *fs, const char *path) { return filesystem_unlink(fs, path, true); }

static errno_of_wasi changed(__wasi_fd_t fd, const char *path, change *run) {
  struct description *at;
  char resolved[PATH_BYTES_MAX + 1];
  int error = here(fd, path, &at, resolved);
  return (errno_of_wasi)(error != 0 ? error : run(at->filesystem, resolved));
}

errno_of_wasi __wasi_path_create_directory(__wasi_fd_t fd, const char *path) {
  return is_shared(fd) ? changed(fd, path, filesystem_make_directory) : RAW(path_create_directory, fd, path, strlen(path));
}

errno_of_wasi __wasi_path_remove_directory(__wasi_fd_t fd, const char *path) {
  return is_shared(fd) ? changed(fd, path, remove_directory) : RAW(path_remove_directory, fd, path, strlen(path));
}

errno_of_wasi __wasi_path_unlink_file(__wasi_fd_t fd, const char *path) {
  return is_shared(fd) ? changed(fd, path, remove_file) : RAW(path_unlink_file, fd, path, strlen(path));
}

errno_of_wasi __wasi_path_rename(__wasi_fd_t fd, const char *from, __wasi_fd_t new_fd, const char *to) {
  if (!is_shared(fd) && !is_shared(new_fd)) return RAW(path_rename, fd, from, strlen(from), new_fd, to, strlen(to));
  struct description *at;
  struct description *new_at;
  char old_path[PATH_BYTES_MAX + 1];
  char new_path[PATH_BYTES_MAX + 1];
  if (!is_shared(fd) || !is_shared(new_fd)) return EXDEV_;
  int error = here(fd, from, &at, old_path);
  if (error == 0) error = here(new_fd, to, &new_at, new_path);
  if (error == 0 && at->filesystem != new_at->filesystem) error = EXDEV_;
  return (errno_of_wasi)(error != 0 ? error : filesystem_rename(at->filesystem, old_path, new_path));
}

errno_of_wasi __wasi_path_link(__wasi_fd_t fd, __wasi_lookupflags_t flags, const char *from, __wasi_fd_t new_fd,
                               const char *to) {
  if (is_shared(fd) || is_shared(new_fd)) return is_shared(fd) && is_shared(new_fd) ? ENOTSUP_ : EXDEV_;
  return RAW(path_link, fd, flags, from, strlen(from), new_fd, to, strlen(to));
}

errno_of_wasi __wasi_path_symlink(const char *to, __wasi_fd_t fd, const char *path) {
  return is_shared(fd) ? ENOTSUP_ : RAW(path_symlink, to, strlen(to), fd, path, strlen(path));
}

errno_of_wasi __wasi_path_readlink(__wasi_fd_t fd, const char *path, uint8_t *buffer, __wasi_size_t bytes,
                                   __wasi_size_t *used) {
  if (!is_shared(fd)) return RAW(path_readlink, fd, path, strlen(path), buffer, bytes, used);
  struct description *at;
  char resolved[PATH_BYTES_MAX + 1];
  struct found found;
  int error = here(fd, path, &at, resolved);
  if (error == 0) error = filesystem_find(at->filesystem, resolved, &found);
  return (errno_of_wasi)(error != 0 ? error : EINVAL_);
}

errno_of_wasi __wasi_poll_oneoff(const __wasi_subscription_t *in, __wasi_event_t *out, __wasi_size_t count,
                                 __wasi_size_t *events) {
  __wasi_size_t ready = 0;
  for (__wasi_size_t i = 0; i < count; i++) {
    uint8_t type = in[i].u.tag;
    if (type != __WASI_EVENTTYPE_FD_READ && type != __WASI_EVENTTYPE_FD_WRITE) continue;
    // A file is always ready: then nobody waits for the others.
    if (!is_shared(in[i].u.u.fd_read.file_descriptor)) continue;
    memset(&out[ready], 0, sizeof out[ready]);
    out[ready].userdata = in[i].userdata;
    out[ready].error = description_of(in[i].u.u.fd_read.file_descriptor) == NULL ? EBADF_ : 0;
    out[ready].type = type;
    out[ready++].fd_readwrite.nbytes = 1;
  }
  if (ready == 0) return RAW(poll_oneoff, in, out, count, events);
  *events = ready;
  return 0;
}
