/* The mappings of this process, as a table: each has one file, or none. */
#include "mapping.h"
#include <odonata.h>
#include <stdlib.h>
#include <string.h>
#include "errors.h"
#include "space.h"

#define MAPPINGS_MAX 16384

static struct mapping *table;
static int count;
static int room;

static int make_room(int more) {
  if (count + more <= room) return 0;
  int wanted = room == 0 ? 64 : room * 2;
  if (wanted > MAPPINGS_MAX) return ENOMEM_;
  struct mapping *grown = realloc(table, sizeof *grown * (size_t)wanted);
  if (grown == NULL) return ENOMEM_;
  table = grown;
  room = wanted;
  return 0;
}

struct mapping *mapping_of(const void *address) {
  for (int i = count - 1; i >= 0; i--) {
    uint64_t at = (uint64_t)((const char *)address - table[i].address);
    if ((const char *)address >= table[i].address && at < table[i].bytes) return &table[i];
  }
  return NULL;
}

/** Takes a range out of the table; its memory stays with who asks. */
static int cut(char *address, uint64_t bytes, bool give) {
  if (make_room(2) != 0) return ENOMEM_;
  for (int i = 0; i < count; i++) {
    struct mapping whole = table[i];
    char *end = whole.address + whole.bytes;
    char *first = whole.address > address ? whole.address : address;
    char *last = end < address + bytes ? end : address + bytes;
    if (first >= last) continue;
    table[i--] = table[--count];
    if (first > whole.address) {
      struct mapping before = whole;
      before.bytes = (uint64_t)(first - whole.address);
      if (whole.inode != NULL) inode_keep(whole.inode);
      table[count++] = before;
    }
    if (last < end) {
      struct mapping after = whole;
      after.address = last;
      after.bytes = (uint64_t)(end - last);
      after.offset += (uint64_t)(last - whole.address);
      if (whole.inode != NULL) inode_keep(whole.inode);
      table[count++] = after;
    }
    if (give) space_give(first, (uint64_t)(last - first));
    if (whole.inode != NULL) inode_release(whole.inode);
    if (make_room(2) != 0) return ENOMEM_;
    i = -1;
  }
  return 0;
}

int mapping_remove(void *address, uint64_t bytes) { return cut(address, odonata_round_up(bytes), true); }

/** Memory for a mapping: at `at` only where this library gave it out. */
static int place(void *at, uint64_t bytes, char **address) {
  if (at == NULL) {
    *address = space_take(bytes);
    return *address == NULL ? ENOMEM_ : 0;
  }
  // Over what is mapped already, all of it: anything else belongs to the program's heap, stack or data.
  for (uint64_t done = 0; done < bytes; done += ODONATA_PAGE)
    if (mapping_of((char *)at + done) == NULL) return ENOMEM_;
  int error = cut(at, bytes, false);
  if (error == 0) error = odonata_ds_unmap(at, (uint32_t)bytes);
  *address = at;
  return error;
}

static int enter(struct mapping made) {
  int error = make_room(1);
  if (error == 0) table[count++] = made;
  return error;
}

int mapping_add(struct inode *inode, void *at, uint64_t offset, uint64_t length, bool writable, void **address) {
  uint64_t bytes = odonata_round_up(length);
  if (offset > FILE_BYTES_MAX || bytes > FILE_BYTES_MAX - offset) return EOVERFLOW_;
  if (writable && !inode->writable) return EACCES_;
  char *to;
  int error = place(at, bytes, &to);
  if (error != 0) return error;
  error = inode_map(inode, to, offset, bytes, writable);
  if (error == 0) error = enter((struct mapping){ to, bytes, inode, offset, writable });
  if (error != 0) {
    space_give(to, bytes);
    return error;
  }
  inode_keep(inode);
  *address = to;
  return 0;
}

int mapping_add_private(void *at, uint64_t length, void **address) {
  uint64_t bytes = odonata_round_up(length);
  char *to;
  int error = place(at, bytes, &to);
  if (error == 0) error = enter((struct mapping){ to, bytes, NULL, 0, true });
  *address = to;
  return error;
}

int mapping_protect(void *address, uint64_t length, bool writable) {
  uint64_t bytes = odonata_round_up(length);
  for (uint64_t done = 0; done < bytes; done += ODONATA_PAGE)
    if (mapping_of((char *)address + done) == NULL) return ENOMEM_;
  char *at = address;
  char *end = at + bytes;
  while (at < end) {
    struct mapping whole = *mapping_of(at);
    char *last = whole.address + whole.bytes < end ? whole.address + whole.bytes : end;
    // Private memory is always writable: a wall in front of it there is none.
    if (whole.inode == NULL && !writable) return ENOTSUP_;
    if (whole.inode != NULL && writable && !whole.inode->writable) return EACCES_;
    if (whole.inode != NULL && whole.writable != writable) {
      uint64_t offset = whole.offset + (uint64_t)(at - whole.address);
      inode_keep(whole.inode);
      int error = cut(at, (uint64_t)(last - at), false);
      if (error == 0) error = inode_map(whole.inode, at, offset, (uint64_t)(last - at), writable);
      if (error == 0) error = enter((struct mapping){ at, (uint64_t)(last - at), whole.inode, offset, writable });
      if (error != 0) return error;
    }
    at = last;
  }
  return 0;
}

int mapping_sync(void *address, uint64_t length) {
  char *at = address;
  char *end = at + odonata_round_up(length);
  while (at < end) {
    struct mapping *mapping = mapping_of(at);
    if (mapping == NULL) return ENOMEM_;
    char *last = mapping->address + mapping->bytes < end ? mapping->address + mapping->bytes : end;
    uint64_t offset = mapping->offset + (uint64_t)(at - mapping->address);
    int error = mapping->inode == NULL ? 0 : inode_sync(mapping->inode, offset, (uint64_t)(last - at));
    if (error != 0) return error;
    at = last;
  }
  return 0;
}
