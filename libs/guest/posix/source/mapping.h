/* What is mapped in this process: by mmap, shmat. */
#ifndef MAPPING_H
#define MAPPING_H
#include "inode.h"

struct mapping {
  char *address;
  uint64_t bytes;
  /** NULL: private memory. */
  struct inode *inode;
  uint64_t offset;
  bool writable;
};

/** Maps `bytes` of the file; the mapping keeps it. `at` NULL: anywhere. 0 or errno. */
int mapping_add(struct inode *inode, void *at, uint64_t offset, uint64_t bytes, bool writable, void **address);
int mapping_add_private(void *at, uint64_t bytes, void **address);
/** Ends what is mapped in the range. */
int mapping_remove(void *address, uint64_t bytes);
/** The mapping that an address is in; NULL. */
struct mapping *mapping_of(const void *address);
int mapping_protect(void *address, uint64_t bytes, bool writable);
int mapping_sync(void *address, uint64_t bytes);
#endif
