/*
 * The table that all processes fill: one dataspace.
 *
 *   page 0            the job (struct job): who works on what, and how far they are
 *   stripe 0..n-1     STRIPE_BYTES each, a part of the words by the upper half of their hash
 *     header          64 bytes: how many words, how many bytes of the heap
 *     slots           STRIPE_SLOTS of 16 bytes, open addressing within the stripe, by the lower half of the hash
 *     heap            the bytes of the words, one after another
 *
 * A stripe is the unit of locking: a process takes MODIFYING over its first bytes, merges all words that it has for it, and
 * releases; so the whole merge costs a lock a stripe, and a page of a stripe moves to a process once.  Slots are
 * ordered by hash and words are merged in that order: pages are touched in sequence, as prefetch likes it.
 */
#ifndef SHARED_TABLE_H
#define SHARED_TABLE_H

#include "words.h"

enum {
  STRIPE_BYTES = 256 * 1024,
  STRIPE_SLOTS = 8192,
  STRIPE_HEADER_BYTES = 64,
  STRIPE_HEAP_BYTES = STRIPE_BYTES - STRIPE_HEADER_BYTES - STRIPE_SLOTS * 16,
  /* What is locked of a stripe, by all in the same way: a lock brings the pages of its range, and the end of the heap is seldom used. */
  STRIPE_LOCKED_BYTES = STRIPE_HEADER_BYTES + STRIPE_SLOTS * 16 + 32 * 1024,
  /* Beyond nine tenths open addressing gets slow, and the table is called full. */
  STRIPE_WORDS_MAX = STRIPE_SLOTS * 9 / 10,
};

struct shared_slot {
  uint32_t hash;   /* lower half */
  uint32_t count;  /* 0: free */
  uint32_t offset; /* of the word's bytes in the heap */
  uint32_t length;
};

struct stripe {
  uint32_t words;
  uint32_t heap_used;
  uint8_t reserved[STRIPE_HEADER_BYTES - 8];
  struct shared_slot slots[STRIPE_SLOTS];
  unsigned char heap[STRIPE_HEAP_BYTES];
};

/** A table in memory: `id` 0 is private memory, where no lock is needed. */
struct shared_table {
  uint64_t id;
  struct stripe *stripes;
  uint32_t stripe_count;
};

/** What merge_words had to wait for. */
struct merge_cost {
  uint32_t locks;
  uint64_t lock_ns;
};

/**
 * Stripes for a text of so many bytes: measured on source code, where some 2 in 1,000 bytes start a new word. Twice as many as
 * hold those: each page of a stripe that is used goes to each process once.
 */
uint32_t stripes_for(uint64_t text_bytes);

/** Bytes of the dataspace, its first page included. */
uint64_t table_bytes(uint32_t stripe_count);

typedef void merge_progress(uint32_t done, uint32_t total, void *context);

/**
 * Adds all of `words`, beginning at stripe `first` so that processes do not queue up at the same one.  Ends the
 * program when a stripe is full.
 */
struct merge_cost merge_words(struct shared_table *table, const struct word_table *words, uint32_t first,
                              merge_progress *progress, void *context);

/** All words of the table, in no order; `*count` gets how many. They point into the table. */
struct word *collect_words(const struct shared_table *table, size_t *count);

#endif
