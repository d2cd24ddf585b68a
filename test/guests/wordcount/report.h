#ifndef REPORT_H
#define REPORT_H

#include "shared-table.h"

enum { TOP = 20 };

/** What a process found in its stripes, as far as the report needs it. */
struct result {
  uint64_t words, distinct;
  uint32_t used; /* of `top` */
  struct {
    uint32_t count, length;
    unsigned char bytes[WORD_MAX];
  } top[TOP];
};

void make_result(const struct own_table *table, struct result *result);

/** Prints the most frequent words of all results, which lie so many bytes apart, after a line with the sums. */
void print_top(const unsigned char *results, uint64_t apart_bytes, uint32_t count);

/** Prints every word of all tables as `word count`, sorted by its bytes. */
void print_all(const struct own_table *tables, uint32_t count);

#endif
