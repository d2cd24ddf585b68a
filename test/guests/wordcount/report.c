#include "report.h"

#include "guest.h"

static int by_bytes(const void *left, const void *right) {
  const struct word *a = left, *b = right;
  int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
  return order != 0 ? order : a->length < b->length ? -1 : a->length > b->length;
}

static int by_count(const void *left, const void *right) {
  const struct word *a = left, *b = right;
  return a->count > b->count ? -1 : a->count < b->count ? 1 : by_bytes(left, right);
}

/** Keeps the most frequent words, in order: `top` has `used` of them. @returns how many it has now */
static uint32_t keep_top(struct word *top, uint32_t used, const struct word *word) {
  if (used == TOP && by_count(word, top + TOP - 1) >= 0) return used;
  uint32_t at = used < TOP ? used : TOP - 1;
  for (; at > 0 && by_count(word, top + at - 1) < 0; at--) top[at] = top[at - 1];
  top[at] = *word;
  return used < TOP ? used + 1 : TOP;
}

void make_result(const struct own_table *table, struct result *result) {
  struct word word, top[TOP];
  struct result made = {0};
  for (uint64_t at = 0; next_word(table, &at, &word);) {
    made.distinct++;
    made.words += word.count;
    made.used = keep_top(top, made.used, &word);
  }
  for (uint32_t i = 0; i < made.used; i++) {
    made.top[i].count = top[i].count;
    made.top[i].length = top[i].length;
    memcpy(made.top[i].bytes, top[i].bytes, top[i].length);
  }
  *result = made;
}

void print_top(const unsigned char *results, uint64_t apart_bytes, uint32_t count) {
  struct word top[TOP];
  uint32_t used = 0;
  uint64_t words = 0, distinct = 0;
  for (uint32_t i = 0; i < count; i++) {
    const struct result *result = (const struct result *)(results + i * apart_bytes);
    words += result->words;
    distinct += result->distinct;
    for (uint32_t k = 0; k < result->used; k++) {
      struct word word = {0, result->top[k].bytes, result->top[k].length, result->top[k].count};
      used = keep_top(top, used, &word);
    }
  }
  printf("%" PRIu64 " words, %" PRIu64 " distinct\n", words, distinct);
  for (uint32_t i = 0; i < used; i++) {
    printf("%3" PRIu32 "  %-20.*s %10" PRIu32 "\n", i + 1, (int)top[i].length, (const char *)top[i].bytes, top[i].count);
  }
}

void print_all(const struct own_table *tables, uint32_t count) {
  static char buffer[1 << 16]; /* Few large writes. */
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  struct word *words = NULL;
  size_t used = 0, room = 0;
  for (uint32_t i = 0; i < count; i++) {
    struct word word;
    for (uint64_t at = 0; next_word(tables + i, &at, &word);) {
      if (used == room) {
        room = room == 0 ? 1 << 16 : room * 2;
        words = realloc(words, room * sizeof *words);
        if (words == NULL) die(EXIT_CALL, "out of memory");
      }
      words[used++] = word;
    }
  }
  qsort(words, used, sizeof *words, by_bytes);
  for (size_t i = 0; i < used; i++) {
    fwrite(words[i].bytes, 1, words[i].length, stdout);
    printf(" %u\n", (unsigned)words[i].count);
  }
  free(words);
}
