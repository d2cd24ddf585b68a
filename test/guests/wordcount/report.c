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

void print_top(const struct shared_table *table, size_t count) {
  size_t distinct;
  struct word *words = collect_words(table, &distinct);
  uint64_t total = 0;
  for (size_t i = 0; i < distinct; i++) total += words[i].count;
  qsort(words, distinct, sizeof *words, by_count);
  printf("%" PRIu64 " words, %zu distinct\n", total, distinct);
  for (size_t i = 0; i < count && i < distinct; i++) {
    printf("%3zu  %-20.*s %10u\n", i + 1, (int)words[i].length, (const char *)words[i].bytes,
           (unsigned)words[i].count);
  }
  free(words);
}

void print_all(const struct shared_table *table) {
  static char buffer[1 << 16]; /* Few large writes. */
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  size_t distinct;
  struct word *words = collect_words(table, &distinct);
  qsort(words, distinct, sizeof *words, by_bytes);
  for (size_t i = 0; i < distinct; i++) {
    fwrite(words[i].bytes, 1, words[i].length, stdout);
    printf(" %u\n", (unsigned)words[i].count);
  }
  free(words);
}
