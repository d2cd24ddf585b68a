/* Descriptors of the shared file systems. Their numbers begin where those of the virtual kernel end. */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H
#include <stdbool.h>
#include "filesystem.h"

/** A virtual kernel gives a process 1024 descriptors at most. */
#define FIRST_DESCRIPTOR 4096
#define DESCRIPTORS_MAX 1024

struct description {
  bool open;
  struct filesystem *filesystem;
  /** NULL: a directory. */
  struct inode *inode;
  char path[PATH_BYTES_MAX + 1];
  uint64_t position;
  uint64_t rights;
  uint16_t flags;
  bool flocked;
};

static inline bool is_shared(uint32_t fd) { return fd >= FIRST_DESCRIPTOR && fd < FIRST_DESCRIPTOR + DESCRIPTORS_MAX; }
/** NULL: not open. */
struct description *description_of(uint32_t fd);
int descriptor_add(const struct description *description, uint32_t *fd);
int descriptor_close(uint32_t fd);
int descriptor_renumber(uint32_t from, uint32_t to);
/** `path` beneath the directory `at`, without dots and doubled slashes. */
int resolve(const struct description *at, const char *path, char *out);
#endif
