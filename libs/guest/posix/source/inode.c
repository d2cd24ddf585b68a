/* Files: see inode.h. Reads and writes go through windows on the bytes, of which a process has a few. */
#include "inode.h"
#include <odonata.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "errors.h"
#include "filesystem.h"
#include "space.h"

#define WINDOW_BYTES (UINT64_C(1) << 20)
#define WINDOWS 16
/** A file that is written all the time does not tell each time: the page that says so goes from node to node. */
#define TOUCH_NS 1000000

static struct window {
  struct inode *inode;
  uint64_t offset;
  char *address;
  uint64_t used;
} windows[WINDOWS];
static uint64_t uses;
static struct inode *opened;

int inode_open(struct filesystem *filesystem, uint64_t number, bool create, struct inode **out) {
  for (struct inode *inode = opened; inode != NULL; inode = inode->next) {
    if (inode->filesystem != filesystem || inode->number != number) continue;
    inode->references++;
    *out = inode;
    return 0;
  }
  char name[160];
  int length = snprintf(name, sizeof name, "%s.%llu", filesystem->name, (unsigned long long)number);
  int flags = create ? ODONATA_OPEN_CREATE : 0;
  if (create && filesystem->durable) flags |= ODONATA_OPEN_DURABLE;
  struct odonata_dataspace ds;
  int error = odonata_ds_open(name, (uint32_t)length, create ? ODONATA_PAGE + FILE_BYTES_MAX : 0, flags, &ds);
  if (error != 0) return error;
  struct inode *inode = calloc(1, sizeof *inode);
  void *page = space_take(ODONATA_PAGE);
  if (inode == NULL || page == NULL) {
    free(inode);
    if (page != NULL) space_give(page, ODONATA_PAGE);
    return ENOMEM_;
  }
  inode->writable = true;
  error = odonata_ds_map(ds.id, page, ODONATA_PAGE, 0, ODONATA_READ_WRITE);
  if (error == ODONATA_EACCES) {
    inode->writable = false;
    error = odonata_ds_map(ds.id, page, ODONATA_PAGE, 0, ODONATA_READ);
  }
  if (error != 0) {
    space_give(page, ODONATA_PAGE);
    free(inode);
    return error;
  }
  inode->filesystem = filesystem;
  inode->number = number;
  inode->dataspace = ds.id;
  inode->header = page;
  inode->references = 1;
  inode->next = opened;
  opened = inode;
  *out = inode;
  return 0;
}

void inode_keep(struct inode *inode) { inode->references++; }

void inode_release(struct inode *inode) {
  if (--inode->references > 0) return;
  for (int i = 0; i < WINDOWS; i++) {
    if (windows[i].inode != inode) continue;
    space_give(windows[i].address, WINDOW_BYTES);
    windows[i].inode = NULL;
  }
  if (inode->alive) {
    int64_t byte = LOCK_AREA_ALIVE + (int64_t)odonata_process_id();
    odonata_unlock(inode->dataspace, byte, byte);
  }
  bool unlinked = __atomic_load_n(&inode->header->unlinked, __ATOMIC_SEQ_CST) != 0;
  space_give(inode->header, ODONATA_PAGE);
  struct inode **at = &opened;
  while (*at != inode) at = &(*at)->next;
  *at = inode->next;
  struct filesystem *filesystem = inode->filesystem;
  free(inode->held);
  free(inode);
  if (unlinked) filesystem_sweep(filesystem);
}

uint64_t inode_bytes(const struct inode *inode) { return __atomic_load_n(&inode->header->bytes, __ATOMIC_SEQ_CST); }

uint64_t inode_modified_ns(const struct inode *inode) {
  return __atomic_load_n(&inode->header->modified_ns, __ATOMIC_SEQ_CST);
}

void inode_touch(struct inode *inode) {
  uint64_t now = now_ns(CLOCK_OF_THE_WORLD);
  if (now - inode_modified_ns(inode) >= TOUCH_NS)
    __atomic_store_n(&inode->header->modified_ns, now, __ATOMIC_SEQ_CST);
}

void inode_set_modified(struct inode *inode, uint64_t ns) {
  __atomic_store_n(&inode->header->modified_ns, ns, __ATOMIC_SEQ_CST);
}

void inode_attached(struct inode *inode, int by) {
  if (!inode->writable) return;
  __atomic_fetch_add(&inode->header->attached, (uint32_t)by, __ATOMIC_SEQ_CST);
  __atomic_store_n(&inode->header->last, (uint32_t)odonata_process_id(), __ATOMIC_SEQ_CST);
}

void inode_unlink(struct inode *inode) { __atomic_store_n(&inode->header->unlinked, 1, __ATOMIC_SEQ_CST); }

void inode_extend(struct inode *inode, uint64_t bytes) {
  uint64_t before = inode_bytes(inode);
  while (before < bytes && !__atomic_compare_exchange_n(&inode->header->bytes, &before, bytes, false, __ATOMIC_SEQ_CST,
                                                        __ATOMIC_SEQ_CST))
    ;
}

uint64_t inode_append_at(struct inode *inode, uint64_t bytes) {
  return __atomic_fetch_add(&inode->header->bytes, bytes, __ATOMIC_SEQ_CST);
}

int inode_map(struct inode *inode, void *address, uint64_t offset, uint64_t bytes, bool writable) {
  if (offset > FILE_BYTES_MAX || bytes > FILE_BYTES_MAX - offset) return EFBIG_;
  int protection = writable ? ODONATA_READ_WRITE : ODONATA_READ;
  return odonata_ds_map(inode->dataspace, address, (uint32_t)odonata_round_up(bytes), ODONATA_PAGE + offset, protection);
}

/** The byte at `offset`, and how many follow it there. */
static int window_at(struct inode *inode, uint64_t offset, char **at, size_t *bytes) {
  uint64_t begin = offset / WINDOW_BYTES * WINDOW_BYTES;
  struct window *oldest = &windows[0];
  struct window *found = NULL;
  for (int i = 0; i < WINDOWS; i++) {
    if (windows[i].inode == inode && windows[i].offset == begin) found = &windows[i];
    if (windows[i].inode == NULL || (oldest->inode != NULL && windows[i].used < oldest->used)) oldest = &windows[i];
  }
  if (found == NULL) {
    if (oldest->inode == NULL) oldest->address = space_take(WINDOW_BYTES);
    if (oldest->address == NULL) return ENOMEM_;
    int error = inode_map(inode, oldest->address, begin, WINDOW_BYTES, inode->writable);
    if (error != 0) {
      space_give(oldest->address, WINDOW_BYTES);
      oldest->inode = NULL;
      return error;
    }
    oldest->inode = inode;
    oldest->offset = begin;
    found = oldest;
  }
  found->used = ++uses;
  *at = found->address + (offset - begin);
  *bytes = (size_t)(WINDOW_BYTES - (offset - begin));
  return 0;
}

int inode_read(struct inode *inode, uint64_t offset, void *to, size_t bytes, size_t *done) {
  uint64_t size = inode_bytes(inode);
  *done = 0;
  if (offset >= size) return 0;
  if (bytes > size - offset) bytes = (size_t)(size - offset);
  while (*done < bytes) {
    char *at;
    size_t here;
    int error = window_at(inode, offset + *done, &at, &here);
    if (error != 0) return error;
    if (here > bytes - *done) here = bytes - *done;
    memcpy((char *)to + *done, at, here);
    *done += here;
  }
  return 0;
}

/** `from` NULL: zeros. */
static int fill(struct inode *inode, uint64_t offset, const void *from, uint64_t bytes) {
  if (!inode->writable) return EACCES_;
  if (offset > FILE_BYTES_MAX || bytes > FILE_BYTES_MAX - offset) return EFBIG_;
  for (uint64_t done = 0; done < bytes;) {
    char *at;
    size_t here;
    int error = window_at(inode, offset + done, &at, &here);
    if (error != 0) return error;
    if (here > bytes - done) here = (size_t)(bytes - done);
    odonata_touch_for_write((void *)((uintptr_t)at & ~(uintptr_t)3), here);
    if (from == NULL) memset(at, 0, here);
    else memcpy(at, (const char *)from + done, here);
    done += here;
  }
  return 0;
}

int inode_write(struct inode *inode, uint64_t offset, const void *from, size_t bytes) {
  int error = fill(inode, offset, from, bytes);
  if (error != 0) return error;
  inode_extend(inode, offset + bytes);
  inode_touch(inode);
  return 0;
}

int inode_truncate(struct inode *inode, uint64_t bytes) {
  if (!inode->writable) return EINVAL_;
  if (bytes > FILE_BYTES_MAX) return EFBIG_;
  uint64_t before = __atomic_exchange_n(&inode->header->bytes, bytes, __ATOMIC_SEQ_CST);
  inode_touch(inode);
  // What is beyond the end reads as zeros when the file grows again.
  return before > bytes ? fill(inode, bytes, NULL, before - bytes) : 0;
}

int inode_sync(struct inode *inode, uint64_t offset, uint64_t bytes) {
  if (!inode->filesystem->durable || !inode->writable) return 0;
  uint64_t size = odonata_round_up(inode_bytes(inode));
  if (offset > size) offset = size;
  if (bytes > size - offset) bytes = size - offset;
  int error = bytes == 0 ? 0 : odonata_sync(inode->dataspace, ODONATA_PAGE + offset, bytes);
  if (error == 0) error = odonata_sync(inode->dataspace, 0, ODONATA_PAGE);
  return error;
}

int inode_announce(struct inode *inode, uint32_t pid) {
  if (inode->alive) return 0;
  int64_t byte = LOCK_AREA_ALIVE + (int64_t)pid;
  int error = odonata_lock(inode->dataspace, byte, byte, ODONATA_LOCK_EXCLUSIVE, -1);
  if (error == 0) inode->alive = true;
  return error;
}

bool inode_is_dead(struct inode *inode, uint32_t pid) {
  int64_t byte = LOCK_AREA_ALIVE + (int64_t)pid;
  if (odonata_lock(inode->dataspace, byte, byte, ODONATA_LOCK_EXCLUSIVE, 0) != 0) return false;
  odonata_unlock(inode->dataspace, byte, byte);
  return true;
}
