#include "shared-table.h"

#include "guest.h"

_Static_assert(sizeof(struct stripe) == STRIPE_BYTES, "a stripe fills whole pages");
_Static_assert(sizeof(struct shared_slot) == 16, "a slot never straddles pages");

uint32_t stripes_for(uint64_t text_bytes) {
  uint64_t small = text_bytes / (32 << 10), large = text_bytes >> 22;
  uint64_t stripes = (small < 24 ? small : 24) + large;
  return (uint32_t)(stripes < 4 ? 4 : stripes);
}

struct stripes stripes_of(uint32_t stripe_count, uint32_t worker, uint32_t workers) {
  uint64_t count = stripe_count;
  return (struct stripes){(uint32_t)(count * worker / workers), (uint32_t)(count * (worker + 1) / workers)};
}

static uint32_t stripe_of(uint64_t hash, uint32_t stripe_count) {
  return (uint32_t)(((hash >> 32) * stripe_count) >> 32);
}

static uint32_t slot_of(uint64_t hash) { return (uint32_t)(((hash & UINT32_MAX) * STRIPE_SLOTS) >> 32); }

static int by_place(const void *left, const void *right) {
  uint64_t a = ((const struct placed *)left)->place, b = ((const struct placed *)right)->place;
  return a < b ? -1 : a > b;
}

struct placed_words place_words(const struct word_table *words, uint32_t stripe_count) {
  struct placed *placed = malloc((words->used + 1) * sizeof *placed);
  if (placed == NULL) die(EXIT_CALL, "out of memory");
  size_t used = 0;
  for (size_t i = 0; i < words->capacity; i++) {
    const struct word *word = words->slots + i;
    if (word->bytes == NULL) continue;
    placed[used].place = (uint64_t)stripe_of(word->hash, stripe_count) << 32 | slot_of(word->hash);
    placed[used++].word = word;
  }
  qsort(placed, used, sizeof *placed, by_place);
  return (struct placed_words){placed, used};
}

/** How many stand before a stripe. */
static size_t before(struct placed_words all, uint32_t stripe) {
  size_t low = 0, high = all.count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (all.words[middle].place >> 32 < stripe) low = middle + 1;
    else high = middle;
  }
  return low;
}

struct placed_words placed_in(struct placed_words all, struct stripes stripes) {
  size_t begin = before(all, stripes.begin);
  return (struct placed_words){all.words + begin, before(all, stripes.end) - begin};
}

void add_to_table(struct shared_table *table, const struct word *word) {
  uint32_t index = stripe_of(word->hash, table->stripe_count), hash = (uint32_t)word->hash;
  struct stripe *stripe = table->stripes + index;
  uint32_t slot = slot_of(word->hash);
  for (;; slot = (slot + 1) % STRIPE_SLOTS) {
    struct shared_slot *at = stripe->slots + slot;
    if (at->count == 0) break;
    if (at->hash == hash && at->length == word->length &&
        memcmp(stripe->heap + at->offset, word->bytes, word->length) == 0) {
      at->count += word->count;
      return;
    }
  }
  if (stripe->words >= STRIPE_WORDS_MAX || stripe->heap_used + word->length > STRIPE_HEAP_BYTES) {
    die(EXIT_CALL, "the table is full (stripe %u has %u words): give all processes a larger --stripes",
        (unsigned)index, (unsigned)stripe->words);
  }
  memcpy(stripe->heap + stripe->heap_used, word->bytes, word->length);
  stripe->slots[slot] = (struct shared_slot){hash, word->count, stripe->heap_used, word->length};
  stripe->heap_used += word->length;
  stripe->words++;
}

struct word *collect_words(const struct shared_table *table, struct stripes stripes, size_t *count) {
  size_t total = 0;
  for (uint32_t i = stripes.begin; i < stripes.end; i++) total += table->stripes[i].words;
  struct word *words = malloc((total + 1) * sizeof *words);
  if (words == NULL) die(EXIT_CALL, "out of memory");
  size_t used = 0;
  for (uint32_t i = stripes.begin; i < stripes.end; i++) {
    const struct stripe *stripe = table->stripes + i;
    if (stripe->words == 0) continue;
    for (uint32_t slot = 0; slot < STRIPE_SLOTS; slot++) {
      const struct shared_slot *at = stripe->slots + slot;
      if (at->count == 0) continue;
      if (used == total || at->offset + at->length > stripe->heap_used) {
        die(EXIT_CHECK, "the table is damaged: stripe %u, slot %u", (unsigned)i, (unsigned)slot);
      }
      words[used++] = (struct word){at->hash, stripe->heap + at->offset, at->length, at->count};
    }
  }
  if (used != total) die(EXIT_CHECK, "the table is damaged: %zu words of %zu found", used, total);
  *count = total;
  return words;
}
