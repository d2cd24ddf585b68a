#ifndef REPORT_H
#define REPORT_H

#include "shared-table.h"

/** Prints the `count` most frequent words as `rank word count` columns, after a line with the sums. */
void print_top(const struct shared_table *table, size_t count);

/** Prints every word as `word count`, sorted by its bytes. */
void print_all(const struct shared_table *table);

#endif
