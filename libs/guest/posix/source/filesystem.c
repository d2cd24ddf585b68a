/* The names of the shared file systems: see filesystem.h. */
#include "filesystem.h"
#include <odonata.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "errors.h"
#include "space.h"

struct index {
  uint64_t last_inode;
  /** Entries from here on were never used. */
  uint64_t used;
  char spare[sizeof(struct entry) - 16];
  struct entry entries[ENTRIES_MAX];
};
_Static_assert(sizeof(struct entry) == 256, "an entry");
_Static_assert(sizeof(struct index) == 1 << 20, "the index");

static struct filesystem filesystems[] = {
  { .mount = "/shared", .durable = true },
  { .mount = "/dev/shm", .durable = false },
};

struct filesystem *filesystem_at(unsigned which) { return which < 2 ? &filesystems[which] : NULL; }

static int attach(struct filesystem *fs) {
  if (fs->index != NULL) return 0;
  const char *base = getenv("ODONATA_SHARED");
  if (base == NULL || *base == '\0') base = "posix";
  int length = snprintf(fs->name, sizeof fs->name, "%s.%s", base, fs->durable ? "shared" : "shm");
  if (length >= (int)sizeof fs->name) return ENAMETOOLONG_;
  struct odonata_dataspace ds;
  int flags = ODONATA_OPEN_CREATE | (fs->durable ? ODONATA_OPEN_DURABLE : 0);
  int error = odonata_ds_open(fs->name, (uint32_t)length, sizeof(struct index), flags, &ds);
  if (error != 0) return error;
  void *at = space_take(sizeof(struct index));
  if (at == NULL) return ENOMEM_;
  fs->writable = true;
  error = odonata_ds_map(ds.id, at, sizeof(struct index), 0, ODONATA_READ_WRITE);
  if (error == ODONATA_EACCES) {
    fs->writable = false;
    error = odonata_ds_map(ds.id, at, sizeof(struct index), 0, ODONATA_READ);
  }
  if (error != 0) {
    space_give(at, sizeof(struct index));
    return error;
  }
  fs->dataspace = ds.id;
  fs->index = at;
  return 0;
}

/** `change` for writing. The first page comes with the lock. */
static int lock_index(struct filesystem *fs, bool change) {
  int error = attach(fs);
  if (error != 0) return error;
  if (change && !fs->writable) return EROFS_;
  if (fs->locked++ > 0) return 0;
  error = odonata_lock(fs->dataspace, 0, 0, change ? ODONATA_LOCK_EXCLUSIVE : ODONATA_LOCK_SHARED, -1);
  if (error != 0) fs->locked--;
  return error;
}

static int unlock_index(struct filesystem *fs, int result) {
  if (--fs->locked == 0) odonata_unlock(fs->dataspace, 0, 0);
  return result;
}

static struct entry *entry_of(struct filesystem *fs, const char *path) {
  struct index *index = fs->index;
  for (uint64_t i = 0; i < index->used && i < ENTRIES_MAX; i++) {
    struct entry *entry = &index->entries[i];
    if ((entry->state == ENTRY_FILE || entry->state == ENTRY_DIRECTORY) && strncmp(entry->path, path, PATH_BYTES_MAX) == 0)
      return entry;
  }
  return NULL;
}

/** ENOENT, ENOTDIR: of the directory that `path` is in. */
static int expect_parent(struct filesystem *fs, const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) return 0;
  char parent[PATH_BYTES_MAX + 1];
  memcpy(parent, path, (size_t)(slash - path));
  parent[slash - path] = '\0';
  struct entry *entry = entry_of(fs, parent);
  if (entry == NULL) return ENOENT_;
  return entry->state == ENTRY_DIRECTORY ? 0 : ENOTDIR_;
}

static int add(struct filesystem *fs, const char *path, enum entry_state state, uint32_t mode, struct entry **out) {
  int error = expect_parent(fs, path);
  if (error != 0) return error;
  struct index *index = fs->index;
  uint64_t at = 0;
  while (at < index->used && index->entries[at].state != ENTRY_FREE) at++;
  if (at == ENTRIES_MAX) return ENOSPC_;
  struct entry *entry = &index->entries[at];
  entry->mode = mode;
  entry->inode = ++index->last_inode;
  entry->created_ns = now_ns(CLOCK_OF_THE_WORLD);
  strcpy(entry->path, path);
  entry->state = state;
  if (at == index->used) index->used++;
  *out = entry;
  return 0;
}

int filesystem_open(struct filesystem *fs, const char *path, int flags, uint32_t mode, struct inode **out) {
  *out = NULL;
  if (strlen(path) > PATH_BYTES_MAX) return ENAMETOOLONG_;
  if (*path == '\0') return flags & OPEN_EXCLUSIVE ? EEXIST_ : 0;
  int error = lock_index(fs, (flags & OPEN_CREATE) != 0);
  if (error != 0) return error;
  bool made = false;
  struct entry *entry = entry_of(fs, path);
  if (entry == NULL && (error = expect_parent(fs, path)) != 0) return unlock_index(fs, error);
  if (entry == NULL) {
    if (!(flags & OPEN_CREATE)) return unlock_index(fs, ENOENT_);
    error = add(fs, path, ENTRY_FILE, mode, &entry);
    if (error != 0) return unlock_index(fs, error);
    made = true;
  } else if (flags & OPEN_CREATE && flags & OPEN_EXCLUSIVE) {
    return unlock_index(fs, EEXIST_);
  }
  if (entry->state == ENTRY_DIRECTORY) return unlock_index(fs, flags & OPEN_TRUNCATE ? EISDIR_ : 0);
  if (flags & OPEN_DIRECTORY) return unlock_index(fs, ENOTDIR_);
  error = inode_open(fs, entry->inode, made, out);
  if (error != 0 && made) entry->state = ENTRY_FREE;
  if (error == 0 && made) {
    (*out)->header->mode = mode;
    (*out)->header->creator = (uint32_t)odonata_process_id();
    inode_touch(*out);
  }
  unlock_index(fs, 0);
  if (error == 0 && flags & OPEN_TRUNCATE && !made) error = inode_truncate(*out, 0);
  if (error != 0 && *out != NULL) inode_release(*out);
  return error;
}

int filesystem_find(struct filesystem *fs, const char *path, struct found *found) {
  if (*path == '\0') {
    *found = (struct found){ .state = ENTRY_DIRECTORY };
    return 0;
  }
  int error = lock_index(fs, false);
  if (error != 0) return error;
  struct entry *entry = entry_of(fs, path);
  if (entry == NULL) {
    error = expect_parent(fs, path);
    return unlock_index(fs, error != 0 ? error : ENOENT_);
  }
  *found = (struct found){ entry->state, entry->inode, entry->created_ns, entry->mode };
  return unlock_index(fs, 0);
}

int filesystem_make_directory(struct filesystem *fs, const char *path) {
  if (strlen(path) > PATH_BYTES_MAX) return ENAMETOOLONG_;
  int error = lock_index(fs, true);
  if (error != 0) return error;
  struct entry *entry;
  if (*path == '\0' || entry_of(fs, path) != NULL) return unlock_index(fs, EEXIST_);
  return unlock_index(fs, add(fs, path, ENTRY_DIRECTORY, 0777, &entry));
}

static bool is_below(const struct entry *entry, const char *path) {
  size_t length = strlen(path);
  return (entry->state == ENTRY_FILE || entry->state == ENTRY_DIRECTORY) && strncmp(entry->path, path, length) == 0 &&
         entry->path[length] == '/';
}

static bool is_empty(struct filesystem *fs, const char *path) {
  for (uint64_t i = 0; i < fs->index->used; i++)
    if (is_below(&fs->index->entries[i], path)) return false;
  return true;
}

/** The file has no name any more. */
static void orphan(struct filesystem *fs, struct entry *entry) {
  entry->state = ENTRY_ORPHAN;
  struct inode *inode;
  if (inode_open(fs, entry->inode, false, &inode) != 0) return;
  if (inode->writable) inode_unlink(inode);
  inode_release(inode);
}

int filesystem_unlink(struct filesystem *fs, const char *path, bool directory) {
  int error = lock_index(fs, true);
  if (error != 0) return error;
  struct entry *entry = entry_of(fs, path);
  if (entry == NULL) error = ENOENT_;
  else if (directory && entry->state != ENTRY_DIRECTORY) error = ENOTDIR_;
  else if (directory && !is_empty(fs, path)) error = ENOTEMPTY_;
  else if (directory) entry->state = ENTRY_FREE;
  else if (entry->state == ENTRY_DIRECTORY) error = EISDIR_;
  else orphan(fs, entry);
  unlock_index(fs, error);
  if (error == 0 && !directory) filesystem_sweep(fs);
  return error;
}

int filesystem_rename(struct filesystem *fs, const char *from, const char *to) {
  if (strlen(to) > PATH_BYTES_MAX) return ENAMETOOLONG_;
  int error = lock_index(fs, true);
  if (error != 0) return error;
  struct entry *entry = entry_of(fs, from);
  if (entry == NULL) return unlock_index(fs, ENOENT_);
  if (strcmp(from, to) == 0) return unlock_index(fs, 0);
  if ((error = expect_parent(fs, to)) != 0) return unlock_index(fs, error);
  if (entry->state == ENTRY_DIRECTORY && !is_empty(fs, from)) return unlock_index(fs, ENOTEMPTY_);
  struct entry *before = entry_of(fs, to);
  if (before != NULL) {
    bool directory = before->state == ENTRY_DIRECTORY;
    if (directory != (entry->state == ENTRY_DIRECTORY)) return unlock_index(fs, directory ? EISDIR_ : ENOTDIR_);
    if (directory && !is_empty(fs, to)) return unlock_index(fs, ENOTEMPTY_);
    if (directory) before->state = ENTRY_FREE;
    else orphan(fs, before);
  }
  strcpy(entry->path, to);
  unlock_index(fs, 0);
  if (before != NULL) filesystem_sweep(fs);
  return 0;
}

int filesystem_list(struct filesystem *fs, const char *path, uint64_t *cookie, char *name, struct found *found) {
  int error = lock_index(fs, false);
  if (error != 0) return error;
  size_t length = strlen(path);
  for (; *cookie < fs->index->used && *cookie < ENTRIES_MAX; ++*cookie) {
    struct entry *entry = &fs->index->entries[*cookie];
    if (entry->state != ENTRY_FILE && entry->state != ENTRY_DIRECTORY) continue;
    if (length > 0 && !is_below(entry, path)) continue;
    const char *rest = entry->path + (length > 0 ? length + 1 : 0);
    if (strchr(rest, '/') != NULL) continue;
    strcpy(name, rest);
    *found = (struct found){ entry->state, entry->inode, entry->created_ns, entry->mode };
    return unlock_index(fs, 0);
  }
  return unlock_index(fs, ENOENT_);
}

int filesystem_path_of(struct filesystem *fs, uint64_t inode, char *path) {
  int error = lock_index(fs, false);
  if (error != 0) return error;
  for (uint64_t i = 0; i < fs->index->used; i++) {
    struct entry *entry = &fs->index->entries[i];
    if (entry->state != ENTRY_FILE || entry->inode != inode) continue;
    strcpy(path, entry->path);
    return unlock_index(fs, 0);
  }
  return unlock_index(fs, ENOENT_);
}

void filesystem_sweep(struct filesystem *fs) {
  // Who changes the index does this at the end.
  if (fs->locked > 0 || lock_index(fs, true) != 0) return;
  for (uint64_t i = 0; i < fs->index->used; i++) {
    struct entry *entry = &fs->index->entries[i];
    if (entry->state != ENTRY_ORPHAN) continue;
    char name[160];
    int length = snprintf(name, sizeof name, "%s.%llu", fs->name, (unsigned long long)entry->inode);
    int error = odonata_ds_remove(name, (uint32_t)length);
    if (error == 0 || error == ODONATA_ENOENT) entry->state = ENTRY_FREE;
  }
  unlock_index(fs, 0);
}
