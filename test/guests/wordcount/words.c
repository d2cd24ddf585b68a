#include "words.h"

#include "guest.h"

enum { FIRST_CAPACITY = 4096, BLOCK_BYTES = 1 << 20 };

/** The folded byte of a word, or 0 for what separates words; a NUL is no word byte, so a zero tail adds nothing. */
static const unsigned char *folded_bytes(void) {
  static unsigned char table[256];
  if (table['a'] == 0) {
    for (int byte = 0; byte < 256; byte++) {
      bool upper = byte >= 'A' && byte <= 'Z';
      bool other = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_' || byte >= 0x80;
      table[byte] = (unsigned char)(upper ? byte + 32 : other ? byte : 0);
    }
  }
  return table;
}

uint64_t word_hash(const unsigned char *bytes, size_t length) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93u;
  return hash ^ (hash >> 32);
}

static void *allocate(size_t count, size_t bytes) {
  void *memory = calloc(count, bytes);
  if (memory == NULL) die(EXIT_CALL, "out of memory");
  return memory;
}

/** The slot of a word, or the free one where it belongs. */
static struct word *find(struct word *slots, size_t capacity, uint64_t hash, const unsigned char *bytes,
                         size_t length) {
  for (size_t at = hash & (capacity - 1);; at = (at + 1) & (capacity - 1)) {
    struct word *slot = slots + at;
    if (slot->bytes == NULL) return slot;
    if (slot->hash == hash && slot->length == length && memcmp(slot->bytes, bytes, length) == 0) return slot;
  }
}

static void grow(struct word_table *table) {
  size_t capacity = table->capacity == 0 ? FIRST_CAPACITY : table->capacity * 2;
  struct word *slots = allocate(capacity, sizeof *slots);
  for (size_t i = 0; i < table->capacity; i++) {
    struct word *word = table->slots + i;
    if (word->bytes != NULL) *find(slots, capacity, word->hash, word->bytes, word->length) = *word;
  }
  free(table->slots);
  table->slots = slots;
  table->capacity = capacity;
}

static const unsigned char *keep_bytes(struct word_table *table, const unsigned char *bytes, size_t length) {
  if (table->block_used + length > table->block_size) {
    table->block = allocate(BLOCK_BYTES, 1); /* The full one stays: words point into it. */
    table->block_size = BLOCK_BYTES;
    table->block_used = 0;
  }
  unsigned char *kept = table->block + table->block_used;
  memcpy(kept, bytes, length);
  table->block_used += length;
  return kept;
}

static void add_word(struct word_table *table, const unsigned char *bytes, size_t length) {
  if (table->used * 4 >= table->capacity * 3) grow(table);
  uint64_t hash = word_hash(bytes, length);
  struct word *slot = find(table->slots, table->capacity, hash, bytes, length);
  if (slot->bytes == NULL) {
    slot->hash = hash;
    slot->bytes = keep_bytes(table, bytes, length);
    slot->length = (uint32_t)length;
    table->used++;
  }
  slot->count++;
  table->total++;
}

void count_words(struct word_table *table, const unsigned char *text, uint64_t length, uint64_t begin, uint64_t end) {
  const unsigned char *folded = folded_bytes();
  uint64_t at = begin;
  if (at > 0 && folded[text[at - 1]] != 0) {
    while (at < end && folded[text[at]] != 0) at++; /* Started in an earlier chunk. */
  }
  while (at < end) {
    if (folded[text[at]] == 0) {
      at++;
      continue;
    }
    unsigned char word[WORD_MAX];
    size_t used = 0;
    /* May run past `end`, but not further than the word is kept: the next chunk skips the rest. */
    while (at < length && folded[text[at]] != 0) {
      if (used < WORD_MAX) word[used++] = folded[text[at]];
      else if (at >= end) break;
      at++;
    }
    add_word(table, word, used);
  }
}
