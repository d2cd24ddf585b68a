/*
 * The table that all processes fill, two parts of one dataspace (job.h).
 *
 *   slots             a stripe of STRIPE_SLOTS after the other, 16 bytes each: the stripe of a word is chosen by the upper half
 *                     of its hash, its slot within by the lower half, with open addressing
 *   heaps             STRIPE_HEAP_BYTES for each stripe: the bytes of the words, one after another
 *
 * Each process has some stripes side by side, which it alone writes: so their pages stay on its node.  Slots are ordered by
 * hash and words are merged in that order, and the heaps of its stripes are one: both are filled from the beginning to the
 * end without gaps, as prefetch likes it.
 */
#ifndef SHARED_TABLE_H
#define SHARED_TABLE_H

#include "words.h"

enum {
  STRIPE_SLOTS = 8192,
  STRIPE_SLOTS_BYTES = STRIPE_SLOTS * 16,
  STRIPE_HEAP_BYTES = 124 * 1024,
  /* Beyond nine tenths open addressing gets slow, and the table is called full. */
  STRIPE_WORDS_MAX = STRIPE_SLOTS * 9 / 10,
};

struct shared_slot {
  uint32_t hash;   /* lower half */
  uint32_t count;  /* 0: free */
  uint32_t offset; /* of the word's bytes in the heap */
  uint32_t length;
};

/** Some of the stripes, [begin, end). */
struct stripes {
  uint32_t begin, end;
};

/** What one process has of the table. */
struct own_table {
  struct stripes stripes;
  uint32_t stripe_count; /* of all processes */
  struct shared_slot *slots;
  unsigned char *heap;
  /* Of who fills it. */
  uint32_t *words; /* of each stripe */
  uint64_t heap_used;
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

/** Adds a word, whose stripe is one of these.  Ends the program when that is full. */
void add_to_table(struct own_table *table, const struct word *word);

/** The first word from slot `*at` on, and `*at` behind it; false: there is none. Its bytes are those of the table. */
bool next_word(const struct own_table *table, uint64_t *at, struct word *word);

#endif
