#include "shared-table.h"

#include "guest.h"

_Static_assert(sizeof(struct shared_slot) * STRIPE_SLOTS == STRIPE_SLOTS_BYTES, "a slot never straddles pages");
_Static_assert(STRIPE_SLOTS_BYTES % ODONATA_PAGE == 0 && STRIPE_HEAP_BYTES % ODONATA_PAGE == 0, "whole pages");

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

void add_to_table(struct own_table *table, const struct word *word) {
  uint32_t stripe = stripe_of(word->hash, table->stripe_count), own = stripe - table->stripes.begin;
  uint32_t hash = (uint32_t)word->hash, slot = slot_of(word->hash);
  struct shared_slot *slots = table->slots + (size_t)own * STRIPE_SLOTS;
  for (;; slot = (slot + 1) % STRIPE_SLOTS) {
    struct shared_slot *at = slots + slot;
    if (at->count == 0) break;
    if (at->hash == hash && at->length == word->length &&
        memcmp(table->heap + at->offset, word->bytes, word->length) == 0) {
      at->count += word->count;
      return;
    }
  }
  uint64_t heap_bytes = (uint64_t)(table->stripes.end - table->stripes.begin) * STRIPE_HEAP_BYTES;
  if (table->words[own] >= STRIPE_WORDS_MAX || table->heap_used + word->length > heap_bytes) {
    die(EXIT_CALL, "the table is full (stripe %" PRIu32 " has %" PRIu32 " words): give all processes a larger --stripes",
        stripe, table->words[own]);
  }
  memcpy(table->heap + table->heap_used, word->bytes, word->length);
  slots[slot] = (struct shared_slot){hash, word->count, (uint32_t)table->heap_used, word->length};
  table->heap_used += word->length;
  table->words[own]++;
}

bool next_word(const struct own_table *table, uint64_t *at, struct word *word) {
  uint64_t stripes = table->stripes.end - table->stripes.begin;
  while (*at < stripes * STRIPE_SLOTS) {
    const struct shared_slot *slot = table->slots + (*at)++;
    if (slot->count == 0) continue;
    if ((uint64_t)slot->offset + slot->length > stripes * STRIPE_HEAP_BYTES) {
      die(EXIT_CHECK, "the table is damaged: slot %" PRIu64 " from stripe %" PRIu32 " on", *at - 1, table->stripes.begin);
    }
    *word = (struct word){slot->hash, table->heap + slot->offset, slot->length, slot->count};
    return true;
  }
  return false;
}
