/*
 * Locks of files: range locks of the dataspace, in the space of negative offsets. A process holds each byte in no mode or
 * in one, as POSIX has it; which it holds is kept here, for fcntl has to tell the locks of others from its own.
 */
#include "locks.h"
#include <odonata.h>
#include <stdlib.h>
#include "errors.h"

#define HELD_MAX 4096

static int errno_of(int error) { return error == ODONATA_ETIMEDOUT ? EAGAIN_ : error; }

/** [begin, end] is held in `mode` now, or not at all. */
static int note(struct inode *inode, int64_t begin, int64_t end, int mode) {
  // Each range becomes two at most, and one is new.
  struct held *after = malloc(sizeof *after * (size_t)(inode->helds + 2));
  if (after == NULL || inode->helds >= HELD_MAX) {
    free(after);
    return ENOMEM_;
  }
  int count = 0;
  for (int i = 0; i < inode->helds; i++) {
    struct held held = inode->held[i];
    if (held.end < begin || held.begin > end) {
      after[count++] = held;
      continue;
    }
    if (held.begin < begin) after[count++] = (struct held){ held.begin, begin - 1, held.mode };
    if (held.end > end) after[count++] = (struct held){ end + 1, held.end, held.mode };
  }
  if (mode != 0) after[count++] = (struct held){ begin, end, mode };
  free(inode->held);
  inode->held = after;
  inode->helds = count;
  return 0;
}

int lock_range(struct inode *inode, int64_t begin, int64_t end, int mode, bool wait) {
  if (mode == 0 && inode->helds == 0) return 0;
  int64_t first = LOCK_AREA_FCNTL + begin;
  int64_t last = LOCK_AREA_FCNTL + end;
  int error = mode == 0 ? odonata_unlock(inode->dataspace, first, last)
                        : odonata_lock(inode->dataspace, first, last, mode, wait ? -1 : 0);
  if (error != 0) return errno_of(error);
  error = note(inode, begin, end, mode);
  if (error != 0 && mode != 0) odonata_unlock(inode->dataspace, first, last);
  return error;
}

/** A part that this process holds in one mode (0: not at all). */
static int probe(struct inode *inode, int64_t begin, int64_t end, int mode, int held) {
  if (held >= mode) return 0;
  int64_t first = LOCK_AREA_FCNTL + begin;
  int64_t last = LOCK_AREA_FCNTL + end;
  int error = odonata_lock(inode->dataspace, first, last, mode, 0);
  if (error != 0) return errno_of(error);
  return held == 0 ? odonata_unlock(inode->dataspace, first, last)
                   : odonata_lock(inode->dataspace, first, last, held, 0);
}

int lock_probe(struct inode *inode, int64_t begin, int64_t end, int mode) {
  while (begin <= end) {
    int held = 0;
    int64_t last = end;
    for (int i = 0; i < inode->helds; i++) {
      struct held *each = &inode->held[i];
      if (each->begin <= begin && begin <= each->end) {
        held = each->mode;
        if (each->end < last) last = each->end;
      } else if (each->begin > begin && each->begin <= last) {
        last = each->begin - 1;
      }
    }
    int error = probe(inode, begin, last, mode, held);
    if (error != 0) return error;
    begin = last + 1;
  }
  return 0;
}

int lock_whole(struct description *description, int mode, bool wait) {
  uint64_t dataspace = description->inode->dataspace;
  int error = mode == 0 ? odonata_unlock(dataspace, LOCK_FLOCK, LOCK_FLOCK)
                        : odonata_lock(dataspace, LOCK_FLOCK, LOCK_FLOCK, mode, wait ? -1 : 0);
  if (error == 0) description->flocked = mode != 0;
  return errno_of(error);
}

void locks_closed(struct description *description) {
  if (description->flocked) lock_whole(description, 0, false);
  lock_range(description->inode, 0, LOCK_FCNTL_BYTES - 1, 0, false);
}
