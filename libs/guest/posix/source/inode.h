/*
 * A file of a shared file system: one dataspace. Its first page says how long the file is; its bytes follow.
 *
 *   page 0    struct file_header, mapped by everybody who has the file open: so a file that is in use is a dataspace
 *             that is mapped, and cannot be removed
 *   page 1…   the bytes, as far as FILE_BYTES_MAX; what nobody wrote takes no memory
 */
#ifndef INODE_H
#define INODE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILE_BYTES_MAX (UINT64_C(1) << 32)

/** Range locks stand in the space of negative offsets: no page comes with them. Areas of it: */
#define LOCK_AREA_FCNTL (-(INT64_C(1) << 62))
#define LOCK_FCNTL_BYTES (INT64_C(1) << 61)
#define LOCK_FLOCK (-(INT64_C(1) << 60))
/** + the pid of a process that holds robust mutexes in this file: it has that byte for as long as it lives. */
#define LOCK_AREA_ALIVE (-(INT64_C(1) << 59))

struct file_header {
  uint64_t bytes;
  uint64_t modified_ns;
  uint32_t mode;
  /** Attached by shmat, less detached. */
  uint32_t attached;
  uint32_t creator;
  uint32_t last;
  /** No name leads here any more. */
  uint32_t unlinked;
};

struct filesystem;

struct inode {
  struct filesystem *filesystem;
  uint64_t number;
  uint64_t dataspace;
  struct file_header *header;
  /** Descriptors and mappings. */
  unsigned references;
  bool writable;
  /** This process holds its byte of LOCK_AREA_ALIVE. */
  bool alive;
  /** Of fcntl, in this process: see locks.c. */
  struct held *held;
  int helds;
  struct inode *next;
};

/** The inode with one reference more, opened where it is not. 0 or errno. */
int inode_open(struct filesystem *filesystem, uint64_t number, bool create, struct inode **out);
void inode_keep(struct inode *inode);
void inode_release(struct inode *inode);

uint64_t inode_bytes(const struct inode *inode);
uint64_t inode_modified_ns(const struct inode *inode);
int inode_truncate(struct inode *inode, uint64_t bytes);
/** At least so long from now on. */
void inode_extend(struct inode *inode, uint64_t bytes);
/** Where the next `bytes` are appended: no two writers get the same place. */
uint64_t inode_append_at(struct inode *inode, uint64_t bytes);
void inode_touch(struct inode *inode);
void inode_set_modified(struct inode *inode, uint64_t ns);
/** Counts who attached a segment of System V. */
void inode_attached(struct inode *inode, int by);
/** Its last user removes it. */
void inode_unlink(struct inode *inode);

/** Copies; `*done` is less than `bytes` at the end of the file. 0 or errno. */
int inode_read(struct inode *inode, uint64_t offset, void *to, size_t bytes, size_t *done);
int inode_write(struct inode *inode, uint64_t offset, const void *from, size_t bytes);
/** 0 or errno; of a file that is not durable nothing is to be done. */
int inode_sync(struct inode *inode, uint64_t offset, uint64_t bytes);
/** Maps bytes of the file over memory of `space_take`. */
int inode_map(struct inode *inode, void *address, uint64_t offset, uint64_t bytes, bool writable);

/** The byte that tells whether a process lives: taken once, gone with the process. */
int inode_announce(struct inode *inode, uint32_t pid);
bool inode_is_dead(struct inode *inode, uint32_t pid);
#endif
