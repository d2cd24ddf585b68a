#include "region.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES 4096

struct chunk {
  struct chunk *before;
  size_t used, room;
  _Alignas(8) char bytes[];
};

struct region scratch;

static _Noreturn void no_memory(void) {
  static const char said[] = "sh: no memory left\n";
  (void)!write(2, said, sizeof said - 1);
  _exit(2);
}

void *region_take(struct region *region, size_t bytes) {
  bytes = (bytes + 7) & ~(size_t)7;
  struct chunk *last = region->last;
  if (last == NULL || last->room - last->used < bytes) {
    size_t room = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    struct chunk *made = malloc(sizeof *made + room);
    if (made == NULL) no_memory();
    *made = (struct chunk){ .before = last, .room = room };
    region->last = last = made;
  }
  void *taken = last->bytes + last->used;
  last->used += bytes;
  return memset(taken, 0, bytes);
}

char *region_text(struct region *region, const char *text, size_t length) {
  char *copy = region_take(region, length + 1);
  memcpy(copy, text, length);
  return copy;
}

struct mark region_mark(const struct region *region) {
  return (struct mark){ region->last, region->last == NULL ? 0 : region->last->used };
}

void region_release(struct region *region, struct mark mark) {
  while (region->last != mark.last) {
    struct chunk *before = region->last->before;
    free(region->last);
    region->last = before;
  }
  if (region->last != NULL) region->last->used = mark.used;
}

void region_free(struct region *region) { region_release(region, (struct mark){ 0 }); }

struct text text_in(struct region *region) {
  struct text text = { .region = region, .room = 32 };
  text.at = region_take(region, text.room);
  return text;
}

void text_add(struct text *text, const char *bytes, size_t length) {
  if (text->room - text->length <= length) {
    text->room = (text->length + length) * 2 + 1;
    char *more = region_take(text->region, text->room);
    memcpy(more, text->at, text->length);
    text->at = more;
  }
  memcpy(text->at + text->length, bytes, length);
  text->length += length;
  text->at[text->length] = 0;
}

void text_put(struct text *text, char byte) { text_add(text, &byte, 1); }
void text_append(struct text *text, const char *string) { text_add(text, string, strlen(string)); }

struct list list_in(struct region *region) {
  struct list list = { .region = region, .room = 8 };
  list.at = region_take(region, list.room * sizeof *list.at);
  return list;
}

void list_add(struct list *list, char *string) {
  if (list->count + 1 == list->room) {
    char **more = region_take(list->region, list->room * 2 * sizeof *more);
    memcpy(more, list->at, list->count * sizeof *more);
    list->at = more;
    list->room *= 2;
  }
  list->at[list->count++] = string;
  list->at[list->count] = NULL;
}
