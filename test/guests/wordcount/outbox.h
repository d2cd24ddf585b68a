/*
 * What a process has for the stripes of all others: one run of pages that it alone writes and each of them reads a part of.
 * Of each word 5 bytes (how long, how often: 4 of them) and its own, one after the other, in the order of their places.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "shared-table.h"

/** Where the words of each process will begin, and at `begins[workers]` where they end, in bytes; `worker` needs none. */
void plan_outbox(uint64_t *begins, struct placed_words all, uint32_t stripe_count, uint32_t worker, uint32_t workers);

void fill_outbox(unsigned char *outbox, struct placed_words all, uint32_t stripe_count, uint32_t worker, uint32_t workers);

/** Adds to the table what stands there. */
void take_words(const unsigned char *words, uint64_t bytes, struct own_table *table);

#endif
