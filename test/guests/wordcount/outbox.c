#include "outbox.h"

#include "guest.h"

enum { RECORD_BYTES = 5 };

_Static_assert(WORD_MAX <= UINT8_MAX, "a length is a byte");

static struct placed_words words_for(struct placed_words all, uint32_t stripe_count, uint32_t to, uint32_t workers) {
  return placed_in(all, stripes_of(stripe_count, to, workers));
}

void plan_outbox(uint64_t *begins, struct placed_words all, uint32_t stripe_count, uint32_t worker, uint32_t workers) {
  uint64_t bytes = 0;
  for (uint32_t to = 0; to < workers; to++) {
    begins[to] = bytes;
    if (to == worker) continue;
    struct placed_words its = words_for(all, stripe_count, to, workers);
    for (size_t i = 0; i < its.count; i++) bytes += RECORD_BYTES + its.words[i].word->length;
  }
  begins[workers] = bytes;
}

void fill_outbox(unsigned char *outbox, struct placed_words all, uint32_t stripe_count, uint32_t worker, uint32_t workers) {
  for (uint32_t to = 0; to < workers; to++) {
    if (to == worker) continue;
    struct placed_words its = words_for(all, stripe_count, to, workers);
    for (size_t i = 0; i < its.count; i++) {
      const struct word *word = its.words[i].word;
      outbox[0] = (unsigned char)word->length;
      memcpy(outbox + 1, &word->count, 4);
      memcpy(outbox + RECORD_BYTES, word->bytes, word->length);
      outbox += RECORD_BYTES + word->length;
    }
  }
}

void take_words(const unsigned char *words, uint64_t bytes, struct own_table *table) {
  for (const unsigned char *at = words; at < words + bytes; at += RECORD_BYTES + at[0]) {
    struct word word = {.bytes = at + RECORD_BYTES, .length = at[0]};
    memcpy(&word.count, at + 1, 4);
    word.hash = word_hash(word.bytes, word.length); /* Which takes less than to bring it along. */
    add_to_table(table, &word);
  }
}
