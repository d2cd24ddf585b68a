/* The table of descriptors: see descriptors.h. */
#include "descriptors.h"
#include <string.h>
#include "errors.h"
#include "locks.h"

static struct description table[DESCRIPTORS_MAX];

struct description *description_of(uint32_t fd) {
  if (!is_shared(fd)) return NULL;
  struct description *found = &table[fd - FIRST_DESCRIPTOR];
  return found->open ? found : NULL;
}

int descriptor_add(const struct description *description, uint32_t *fd) {
  for (uint32_t i = 0; i < DESCRIPTORS_MAX; i++) {
    if (table[i].open) continue;
    table[i] = *description;
    table[i].open = true;
    *fd = FIRST_DESCRIPTOR + i;
    return 0;
  }
  return EMFILE_;
}

int descriptor_close(uint32_t fd) {
  struct description *description = description_of(fd);
  if (description == NULL) return EBADF_;
  description->open = false;
  if (description->inode == NULL) return 0;
  locks_closed(description);
  inode_release(description->inode);
  return 0;
}

int descriptor_renumber(uint32_t from, uint32_t to) {
  struct description *moved = description_of(from);
  if (moved == NULL || description_of(to) == NULL) return is_shared(from) && is_shared(to) ? EBADF_ : ENOTSUP_;
  if (from == to) return 0;
  descriptor_close(to);
  table[to - FIRST_DESCRIPTOR] = *moved;
  moved->open = false;
  return 0;
}

int resolve(const struct description *at, const char *path, char *out) {
  size_t length = strlen(at->path);
  memcpy(out, at->path, length + 1);
  while (*path != '\0') {
    size_t part = strcspn(path, "/");
    if (part == 2 && path[0] == '.' && path[1] == '.') {
      // The root is its own parent.
      char *slash = strrchr(out, '/');
      length = slash == NULL ? 0 : (size_t)(slash - out);
      out[length] = '\0';
    } else if (part > 0 && !(part == 1 && path[0] == '.')) {
      if (length + 1 + part > PATH_BYTES_MAX) return ENAMETOOLONG_;
      if (length > 0) out[length++] = '/';
      memcpy(out + length, path, part);
      length += part;
      out[length] = '\0';
    }
    path += part;
    while (*path == '/') path++;
  }
  return 0;
}
