/*
 * Two file systems whose files are dataspaces, the same on every node:
 *
 *   /shared    durable: what fsync or msync acknowledged survives the death of any node
 *   /dev/shm   not: shm_open, sem_open and System V's keys have their files here
 *
 * The names of each are in one more dataspace, the index: a table of entries that a range lock guards.
 */
#ifndef FILESYSTEM_H
#define FILESYSTEM_H
#include "inode.h"

#define PATH_BYTES_MAX 223
#define ENTRIES_MAX 4095

enum entry_state { ENTRY_FREE = 0, ENTRY_FILE = 1, ENTRY_DIRECTORY = 2, /* unlinked, still open somewhere */ ENTRY_ORPHAN = 3 };

struct entry {
  uint32_t state;
  uint32_t mode;
  uint64_t inode;
  uint64_t created_ns;
  /** From the root of the file system, without a slash at either end. */
  char path[PATH_BYTES_MAX + 1];
  uint64_t spare;
};

struct index;

struct filesystem {
  const char *mount;
  /** Of the dataspaces: this is the index, and NAME.NUMBER are the files. */
  char name[128];
  bool durable;
  uint64_t dataspace;
  struct index *index;
  bool writable;
  /** EXCLUSIVE locks of the index that this process holds, one within the other. */
  int locked;
};

struct found {
  enum entry_state state;
  uint64_t inode;
  uint64_t created_ns;
  uint32_t mode;
};

enum { OPEN_CREATE = 1, OPEN_DIRECTORY = 2, OPEN_EXCLUSIVE = 4, OPEN_TRUNCATE = 8 };

/** 0: /shared, 1: /dev/shm; NULL beyond. */
struct filesystem *filesystem_at(unsigned which);
/** `path` as in an entry; "" is the root. `*inode` is NULL for a directory. 0 or errno. */
int filesystem_open(struct filesystem *fs, const char *path, int flags, uint32_t mode, struct inode **inode);
int filesystem_find(struct filesystem *fs, const char *path, struct found *found);
int filesystem_make_directory(struct filesystem *fs, const char *path);
int filesystem_unlink(struct filesystem *fs, const char *path, bool directory);
int filesystem_rename(struct filesystem *fs, const char *from, const char *to);
/** The name of the entry at or after `*cookie` that is in the directory `path`; ENOENT at the end. */
int filesystem_list(struct filesystem *fs, const char *path, uint64_t *cookie, char *name, struct found *found);
/** The path of an inode, for System V's numbers. */
int filesystem_path_of(struct filesystem *fs, uint64_t inode, char *path);
/** Removes the dataspaces of files that have no name, where nobody has them open any more. */
void filesystem_sweep(struct filesystem *fs);
#endif
