/*
 * words: how often each word stands in a text. Each member counts its part of the text into a table of its own, hands the
 * others what is theirs to add up, packed into runs of pages, and adds up its share of the words.
 *
 *   words DS MEMBER MEMBERS MIB
 */
#include "parallel.h"

enum { VOCABULARY = 100000, WORD_MAX = 12, SLOTS = 1 << 18, RECORD_MAX = WORD_MAX + 5, MEMBERS_MAX = 3 };

struct word {
  uint64_t hash;
  uint32_t count;
  uint8_t length;
  char text[WORD_MAX];
};

static struct word *table;
static char *text;
static unsigned char *packed;

static uint64_t packed_bytes(void) { return whole_pages(8 + (uint64_t)VOCABULARY * RECORD_MAX); }

/* What one member has of another one's words. */
static unsigned char *packed_for(uint32_t from, uint32_t to) {
  return packed + (from * MEMBERS_MAX + to) * packed_bytes();
}

static uint32_t spell(uint32_t word, char *into) {
  uint32_t length = 0, rest = word * 2654435761U >> 8;
  for (uint32_t least = 2 + word % 7; length < least || (rest > 0 && length < WORD_MAX - 1); rest /= 26)
    into[length++] = (char)('a' + rest % 26);
  return length;
}

/* Few of the words are most of the text. */
static void write_text(uint64_t bytes) {
  uint64_t random = 20060902, at = 0;
  while (at + WORD_MAX + 1 < bytes) {
    uint64_t bits = next_random(&random) >> 8;
    uint32_t word = (uint32_t)(bits % VOCABULARY) >> (bits >> 40) % 12;
    at += spell(word, text + at);
    text[at++] = bits % 16 == 0 ? '\n' : ' ';
  }
  memset(text + at, ' ', bytes - at);
}

static bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

static void add(const char *word, uint32_t length, uint64_t hash, uint32_t count) {
  for (uint64_t slot = hash % SLOTS;; slot = (slot + 1) % SLOTS) {
    struct word *found = &table[slot];
    if (found->count == 0) {
      found->hash = hash;
      found->length = (uint8_t)length;
      memcpy(found->text, word, length);
    } else if (found->hash != hash || found->length != length || memcmp(found->text, word, length) != 0)
      continue;
    found->count += count;
    return;
  }
}

/* A word is in the part where it begins. */
static void count_words(struct part part, uint64_t bytes) {
  uint64_t at = part.begin;
  if (at > 0)
    while (at < part.end && is_letter(text[at - 1])) at++;
  while (at < part.end) {
    uint64_t begin = at, hash = 14695981039346656037ULL;
    while (at < bytes && is_letter(text[at])) hash = (hash ^ (unsigned char)text[at++]) * 1099511628211ULL;
    if (at > begin) add(text + begin, (uint32_t)(at - begin), hash ^ hash >> 31, 1);
    at++;
  }
}

static uint32_t member_of(uint64_t hash, uint32_t members) { return (uint32_t)(hash >> 40) % members; }

/* The first word of a packed table is how many bytes follow. */
static void pack_words(const struct team *team) {
  uint64_t used[MEMBERS_MAX] = {0};
  for (struct word *word = table; word < table + SLOTS; word++) {
    uint32_t to = word->count == 0 ? team->member : member_of(word->hash, team->members);
    if (to == team->member) continue;
    unsigned char *into = packed_for(team->member, to) + 8 + used[to];
    into[0] = word->length;
    memcpy(into + 1, &word->count, 4);
    memcpy(into + 5, word->text, word->length);
    used[to] += 5 + (uint64_t)word->length;
  }
  for (uint32_t to = 0; to < team->members; to++)
    if (to != team->member) memcpy(packed_for(team->member, to), &used[to], 8);
}

static void unpack_words(const struct team *team, uint32_t from) {
  const unsigned char *at = packed_for(from, team->member);
  uint64_t bytes;
  memcpy(&bytes, at, 8);
  for (const unsigned char *end = (at += 8) + bytes; at < end; at += 5 + at[0]) {
    uint64_t hash = 14695981039346656037ULL;
    for (uint32_t i = 0; i < at[0]; i++) hash = (hash ^ at[5 + i]) * 1099511628211ULL;
    uint32_t count;
    memcpy(&count, at + 1, 4);
    add((const char *)at + 5, at[0], hash ^ hash >> 31, count);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) die(EXIT_USAGE, "usage: words DS MEMBER MEMBERS MIB");
  uint64_t bytes = number(argv[4], "MIB") << 20;
  struct team team = open_team(argv, bytes + packed_bytes() * MEMBERS_MAX * MEMBERS_MAX);
  if (team.members > MEMBERS_MAX) die(EXIT_USAGE, "MEMBERS: at most %d", MEMBERS_MAX);
  text = (char *)team.base;
  packed = team.base + bytes;
  table = calloc(SLOTS, sizeof *table);
  if (table == NULL) die(EXIT_CALL, "no memory for a table");
  if (team.member == 0) write_text(bytes);
  await_start(&team);
  struct part part = share_of(&team, bytes);
  /* Its text and the bytes around it that belong to its words, as if they were in place. */
  uint64_t from = part.begin > 0 ? part.begin - 1 : 0, to = part.end + WORD_MAX < bytes ? part.end + WORD_MAX : bytes;
  text = (char *)own_part(&team, from, to, ODONATA_READ) - from;
  count_words(part, to);
  pack_words(&team);
  meet(&team);
  for (uint32_t from = 0; from < team.members; from++)
    if (from != team.member) unpack_words(&team, from);
  uint64_t checksum = 0;
  for (struct word *word = table; word < table + SLOTS; word++)
    if (word->count > 0 && member_of(word->hash, team.members) == team.member)
      checksum += at_place(word->hash, word->count);
  finish(&team, checksum);
  return 0;
}
