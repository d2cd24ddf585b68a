#include "shared-table.h"

#include "guest.h"

_Static_assert(sizeof(struct stripe) == STRIPE_BYTES, "a stripe fills whole pages");
_Static_assert(sizeof(struct shared_slot) == 16, "a slot never straddles pages");

uint32_t stripes_for(uint64_t text_bytes) {
  uint64_t small = text_bytes / (32 << 10), large = text_bytes >> 22;
  uint64_t stripes = (small < 24 ? small : 24) + large;
  return (uint32_t)(stripes < 4 ? 4 : stripes);
}

uint64_t table_bytes(uint32_t stripe_count) { return ODONATA_PAGE + (uint64_t)stripe_count * STRIPE_BYTES; }

static uint32_t stripe_of(uint64_t hash, uint32_t stripe_count) {
  return (uint32_t)(((hash >> 32) * stripe_count) >> 32);
}

static uint32_t slot_of(uint64_t hash) { return (uint32_t)(((hash & UINT32_MAX) * STRIPE_SLOTS) >> 32); }

/** Where a word goes, and the word: sorted, the merge walks the table from its beginning to its end. */
struct placed {
  uint64_t place; /* stripe << 32 | slot */
  const struct word *word;
};

static int by_place(const void *left, const void *right) {
  uint64_t a = ((const struct placed *)left)->place, b = ((const struct placed *)right)->place;
  return a < b ? -1 : a > b;
}

static struct placed *place_words(const struct word_table *words, uint32_t stripe_count) {
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
  return placed;
}

static void add_to_stripe(struct stripe *stripe, uint32_t index, uint32_t slot, const struct word *word) {
  uint32_t hash = (uint32_t)word->hash;
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

struct merge_cost merge_words(struct shared_table *table, const struct word_table *words, uint32_t first,
                              merge_progress *progress, void *context) {
  struct merge_cost cost = {0, 0};
  struct placed *placed = place_words(words, table->stripe_count);
  /* Where each stripe's words begin. */
  size_t *begins = malloc((table->stripe_count + 1) * sizeof *begins);
  if (begins == NULL) die(EXIT_CALL, "out of memory");
  for (size_t i = 0, stripe = 0; stripe <= table->stripe_count; stripe++) {
    while (i < words->used && (placed[i].place >> 32) < stripe) i++;
    begins[stripe] = i;
  }
  for (uint32_t i = 0; i < table->stripe_count; i++) {
    uint32_t index = (first + i) % table->stripe_count;
    if (begins[index] == begins[index + 1]) continue;
    struct stripe *stripe = table->stripes + index;
    uint64_t begin = ODONATA_PAGE + (uint64_t)index * STRIPE_BYTES, end = begin + STRIPE_LOCKED_BYTES - 1;
    if (table->id != 0) {
      uint64_t asked_ns = now_ns();
      must(odonata_lock(table->id, begin, end, ODONATA_LOCK_MODIFYING, -1), "lock");
      cost.lock_ns += now_ns() - asked_ns;
      cost.locks++;
      odonata_touch_for_write(stripe, sizeof *stripe - STRIPE_HEAP_BYTES);
      odonata_touch_for_write(stripe->heap, stripe->heap_used);
    }
    for (size_t word = begins[index]; word < begins[index + 1]; word++) {
      add_to_stripe(stripe, index, (uint32_t)placed[word].place, placed[word].word);
    }
    if (table->id != 0) must(odonata_unlock(table->id, begin, end), "unlock");
    progress(i + 1, table->stripe_count, context);
  }
  free(begins);
  free(placed);
  return cost;
}

struct word *collect_words(const struct shared_table *table, size_t *count) {
  size_t total = 0;
  for (uint32_t i = 0; i < table->stripe_count; i++) total += table->stripes[i].words;
  struct word *words = malloc((total + 1) * sizeof *words);
  if (words == NULL) die(EXIT_CALL, "out of memory");
  size_t used = 0;
  for (uint32_t i = 0; i < table->stripe_count; i++) {
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
