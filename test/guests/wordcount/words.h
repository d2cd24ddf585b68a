/*
 * Words of a text, and a private table of their counts.
 *
 * A word is a maximal run of ASCII letters, digits, '_' and bytes from 0x80 up, folded to lower case in ASCII, and cut
 * after WORD_MAX bytes.  A word belongs to the chunk in which it starts: so every word of a text is counted once,
 * however the text is cut into chunks.
 */
#ifndef WORDS_H
#define WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORD_MAX = 64 };

struct word {
  uint64_t hash;
  const unsigned char *bytes; /* NULL: the slot is free */
  uint32_t length;
  uint32_t count;
};

/** Open addressing, grown at three quarters; the bytes of the words lie in blocks that are never moved. */
struct word_table {
  struct word *slots;
  size_t capacity; /* a power of two */
  size_t used;
  unsigned char *block;
  size_t block_used, block_size;
  uint64_t total; /* words counted, repeats included */
};

/** FNV-1a with a final mix: its upper bits choose the place in the shared table. */
uint64_t word_hash(const unsigned char *bytes, size_t length);

/** Counts the words that start in text[begin, end); `length` is that of the whole text. */
void count_words(struct word_table *table, const unsigned char *text, uint64_t length, uint64_t begin, uint64_t end);

#endif
