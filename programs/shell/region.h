/* Regions: memory that is given back all at once, or down to a mark. */
#ifndef SHELL_REGION_H
#define SHELL_REGION_H
#include <stddef.h>

struct chunk;
struct region {
  struct chunk *last;
};
struct mark {
  struct chunk *last;
  size_t used;
};

void *region_take(struct region *, size_t bytes);
char *region_text(struct region *, const char *text, size_t length);
struct mark region_mark(const struct region *);
void region_release(struct region *, struct mark);
void region_free(struct region *);

/** What an expansion makes lives until its command has run. */
extern struct region scratch;

/** Text that grows, in a region; always ends with a NUL. */
struct text {
  struct region *region;
  char *at;
  size_t length, room;
};
struct text text_in(struct region *);
void text_add(struct text *, const char *bytes, size_t length);
void text_put(struct text *, char);
void text_append(struct text *, const char *string);

/** Strings, ended by NULL. */
struct list {
  struct region *region;
  char **at;
  size_t count, room;
};
struct list list_in(struct region *);
void list_add(struct list *, char *);
#endif
