/*
 * The table that all processes fill, a part of one dataspace (job.h).
 *
 *   stripe 0..n-1     STRIPE_BYTES each, a part of the words by the upper half of their hash
 *     header          64 bytes: how many words, how many bytes of the heap
 *     slots           STRIPE_SLOTS of 16 bytes, open addressing within the stripe, by the lower half of the hash
 *     heap            the bytes of the words, one after another
 *
 * Stripes belong to processes, each to one, which alone writes them: so their pages stay on its node.  Slots are ordered by
 * hash and words are merged in that order: pages are touched in sequence, as prefetch likes it.
 */
#ifndef SHARED_TABLE_H
#define SHARED_TABLE_H

#include "words.h"

enum {
  STRIPE_BYTES = 256 * 1024,
  STRIPE_SLOTS = 8192,
  STRIPE_HEADER_BYTES = 64,
  STRIPE_HEAP_BYTES = STRIPE_BYTES - STRIPE_HEADER_BYTES - STRIPE_SLOTS * 16,
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

struct shared_table {
  struct stripe *stripes;
  uint32_t stripe_count;
};

/** Some of the stripes, [begin, end). */
struct stripes {
  uint32_t begin, end;
};

/**
 * Stripes for a text of so many bytes: measured on source code, where some 2 in 1,000 bytes start a new word. Twice as many as
 * hold those.
 */
uint32_t stripes_for(uint64_t text_bytes);

/** Those that belong to a process. */
struct stripes stripes_of(uint32_t stripe_count, uint32_t worker, uint32_t workers);

/** Words in the order of their places: those of a stripe stand side by side. */
struct placed {
  uint64_t place; /* stripe << 32 | slot */
  const struct word *word;
};

struct placed_words {
  struct placed *words;
  size_t count;
};

/** The caller frees `words` of it. */
struct placed_words place_words(const struct word_table *words, uint32_t stripe_count);

/** Those of some stripes. They point into `all`. */
struct placed_words placed_in(struct placed_words all, struct stripes stripes);

/** Adds a word to the table, which finds its stripe by its hash.  Ends the program when that is full. */
void add_to_table(struct shared_table *table, const struct word *word);

/** All words of some stripes, in no order; `*count` gets how many. They point into the table. */
struct word *collect_words(const struct shared_table *table, struct stripes stripes, size_t *count);

#endif
