/* fcntl's and flock's locks on files of the shared file systems. */
#ifndef LOCKS_H
#define LOCKS_H
#include "descriptors.h"

/** A range that this process holds by fcntl. */
struct held {
  int64_t begin;
  int64_t end;
  int mode;
};

/** mode: of ODONATA_LOCK_, 0 unlocks. EAGAIN where `wait` is false and others hold it. */
int lock_range(struct inode *inode, int64_t begin, int64_t end_inclusive, int mode, bool wait);
/** EAGAIN: another process holds what is in the way of `mode`. */
int lock_probe(struct inode *inode, int64_t begin, int64_t end_inclusive, int mode);
int lock_whole(struct description *description, int mode, bool wait);
/** A descriptor of the file is closed: POSIX ends this process's locks of that file. */
void locks_closed(struct description *description);
#endif
