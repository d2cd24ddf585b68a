/*
 * litmus: the classic tests of a memory model, between processes.
 *
 *   litmus DS TEST ROLE ROUNDS [--batch N] [--same-page] [--jitter N] [--seed N] [--timeout-ms N]
 *
 *   test  roles  what each role does in a round                                         forbidden
 *   mp    2      0: x=1; y=1            1: a=y; b=x                                     a=1 b=0
 *   sb    2      0: x=1; a=y            1: y=1; b=x                                     a=0 b=0
 *   corr  2      0: x=1                 1: a=x; b=x                                     a=1 b=0
 *   iriw  4      0: x=1   1: y=1        2: a=x; b=y   3: c=y; d=x                       a=1 b=0 c=1 d=0
 *
 * All accesses are sequentially consistent atomics.  Rounds come in batches: a barrier, then every role runs through
 * the batch at its own speed (a round has words of its own), then a barrier, and role 0 counts what was read.  A word
 * is never reset: batch n writes n, and "1" means that n was read, "0" that n-1 (or what came before) was; anything
 * else is an anomaly.  x and y of a round lie on different pages, with --same-page next to each other.  --jitter N
 * idles up to N steps before each round, so that the roles meet in ever new ways.
 *
 * Role 0 prints {"test","rounds","layout","outcomes":{"ab":n,…},"forbidden":n,"anomalies":n,"ns":n}, and exits with 1
 * if anything forbidden was seen; the others print nothing.  A dataspace serves one run.
 */
#include "barrier.h"

enum {
  BATCH_MAX = 1024,
  ROLES_MAX = 4,
  WORDS_A_PAGE = 16, /* a round's word has 64 bytes: 64 fit into a page, and so many pages are used at a time */
  WORD_PAGES = BATCH_MAX / WORDS_A_PAGE,
  CONTROL_AT = 0,
  RESULTS_AT = 4096, /* by role: BATCH_MAX times two words */
  RESULT_BYTES = BATCH_MAX * 8,
  X_AT = RESULTS_AT + ROLES_MAX * RESULT_BYTES,
  Y_AT = X_AT + WORD_PAGES * 4096,
  BYTES = Y_AT + WORD_PAGES * 4096,
};

struct control {
  uint32_t roles_taken; /* a bit a role */
  uint32_t batch;
  struct barrier barrier;
};

/** The values of one round as "0", "1" or a sign of something else. */
struct outcome {
  char text[5];
};

static const struct test {
  const char *name;
  uint32_t roles;
  const char *forbidden; /* in the order of the roles, as they read */
} TESTS[] = {{"mp", 2, "10"}, {"sb", 2, "00"}, {"corr", 2, "10"}, {"iriw", 4, "1010"}};

static uint32_t read_word(uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static void write_word(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

/** Neighbouring rounds lie on different pages: each has to be fetched anew. */
static size_t place(uint32_t round) {
  return (size_t)(round % WORD_PAGES) * 4096 + (size_t)(round / WORD_PAGES) * (4096 / WORDS_A_PAGE);
}

/** What role `role` does in one round; `read` gets up to two values. */
static void play(const struct test *test, uint32_t role, uint32_t *x, uint32_t *y, uint32_t value, uint32_t *read) {
  char kind = test->name[0];
  if (kind == 'm' && role == 0) {
    write_word(x, value);
    write_word(y, value);
  } else if (kind == 'm') {
    read[0] = read_word(y);
    read[1] = read_word(x);
  } else if (kind == 's') {
    write_word(role == 0 ? x : y, value);
    read[0] = read_word(role == 0 ? y : x);
  } else if (kind == 'c' && role == 0) {
    write_word(x, value);
  } else if (kind == 'c') {
    read[0] = read_word(x);
    read[1] = read_word(x);
  } else if (role < 2) {
    write_word(role == 0 ? x : y, value);
  } else {
    read[0] = read_word(role == 2 ? x : y);
    read[1] = read_word(role == 2 ? y : x);
  }
}

/** How many values role `role` reads in a round. */
static uint32_t reads_of(const struct test *test, uint32_t role) {
  if (test->name[0] == 's') return 1;
  return test->roles == 2 ? (role == 1 ? 2 : 0) : (role >= 2 ? 2 : 0);
}

/** Older batches count as "not yet written"; a value of the future, or an old one after this batch, does not exist. */
static char digit(uint32_t read, uint32_t value, uint32_t expected_before) {
  return read == value ? '1' : read == expected_before ? '0' : '?';
}

static uint32_t tally(const struct test *test, const unsigned char *base, uint32_t batch_rounds, uint32_t value,
                      uint32_t before, uint64_t *histogram, uint64_t *anomalies) {
  uint32_t forbidden = 0;
  for (uint32_t round = 0; round < batch_rounds; round++) {
    struct outcome outcome = {{0}};
    uint32_t used = 0, index = 0;
    for (uint32_t role = 0; role < test->roles; role++) {
      const uint32_t *read = (const uint32_t *)(base + RESULTS_AT + role * RESULT_BYTES) + round * 2;
      for (uint32_t i = 0; i < reads_of(test, role); i++) {
        outcome.text[used] = digit(read[i], value, before);
        index = index * 2 + (outcome.text[used] == '1');
        used++;
      }
    }
    if (strchr(outcome.text, '?') != NULL) (*anomalies)++;
    else histogram[index]++;
    if (strcmp(outcome.text, test->forbidden) == 0) forbidden++;
  }
  return forbidden;
}

static void print_histogram(const struct test *test, const uint64_t *histogram) {
  uint32_t digits = (uint32_t)strlen(test->forbidden);
  const char *separator = "";
  printf("\"outcomes\":{");
  for (uint32_t index = 0; index < 1u << digits; index++) {
    if (histogram[index] == 0 && digits > 2) continue;
    printf("%s\"", separator);
    for (uint32_t bit = digits; bit-- > 0;) putchar('0' + (int)(index >> bit & 1));
    printf("\":%" PRIu64, histogram[index]);
    separator = ",";
  }
  printf("}");
}

int main(int argc, char **argv) {
  uint64_t batch = number_option(&argc, argv, "--batch", 256), jitter = number_option(&argc, argv, "--jitter", 200);
  uint64_t seed = number_option(&argc, argv, "--seed", 1), timeout_ms = number_option(&argc, argv, "--timeout-ms", 60000);
  bool same_page = take_option(&argc, argv, "--same-page", false) != NULL;
  no_more_options(argc, argv);
  if (argc != 5) die(EXIT_USAGE, "usage: litmus DS mp|sb|corr|iriw ROLE ROUNDS [--batch N] [--same-page] [--jitter N]");
  const struct test *test = NULL;
  for (size_t i = 0; i < sizeof TESTS / sizeof *TESTS; i++) {
    if (strcmp(argv[2], TESTS[i].name) == 0) test = TESTS + i;
  }
  if (test == NULL) die(EXIT_USAGE, "no litmus test %s: mp, sb, corr or iriw", argv[2]);
  uint64_t role = number(argv[3], "ROLE"), rounds = number(argv[4], "ROUNDS");
  if (role >= test->roles) die(EXIT_USAGE, "%s has roles 0 to %u", test->name, (unsigned)test->roles - 1);
  if (batch < 1 || batch > BATCH_MAX) die(EXIT_USAGE, "--batch: give 1 to %d", BATCH_MAX);

  struct mapping shared = map_dataspace(argv[1], BYTES, ODONATA_READ_WRITE);
  struct control *control = (struct control *)(shared.base + CONTROL_AT);
  if (__atomic_fetch_or(&control->roles_taken, 1u << role, __ATOMIC_SEQ_CST) & 1u << role) {
    die(EXIT_USAGE, "role %u of %s is taken already: a dataspace serves one run", (unsigned)role, argv[1]);
  }
  uint32_t *results = (uint32_t *)(shared.base + RESULTS_AT + role * RESULT_BYTES);
  uint64_t histogram[16] = {0}, anomalies = 0, forbidden = 0, random = seed * 2654435761u + role + 1;
  uint64_t begin_ns = now_ns();
  uint32_t value = 1;
  for (uint64_t done = 0; done < rounds; done += batch, value++) {
    uint32_t now = (uint32_t)(rounds - done < batch ? rounds - done : batch);
    barrier_wait(&control->barrier, test->roles, timeout_ms);
    for (uint32_t round = 0; round < now; round++) {
      uint64_t idle = jitter == 0 ? 0 : next_random(&random) % jitter;
      for (uint64_t i = 0; i < idle; i++) __asm__ volatile("");
      uint32_t *x = (uint32_t *)(shared.base + X_AT + place(round));
      uint32_t *y = same_page ? x + 1 : (uint32_t *)(shared.base + Y_AT + place(round));
      play(test, (uint32_t)role, x, y, value, results + round * 2);
    }
    barrier_wait(&control->barrier, test->roles, timeout_ms);
    if (role == 0) forbidden += tally(test, shared.base, now, value, value - 1, histogram, &anomalies);
  }
  if (role != 0) return 0;
  printf("{\"test\":\"%s\",\"rounds\":%" PRIu64 ",\"layout\":\"%s\",", test->name, rounds,
         same_page ? "same-page" : "pages");
  print_histogram(test, histogram);
  printf(",\"forbidden\":%" PRIu64 ",\"anomalies\":%" PRIu64 ",\"ns\":%" PRIu64 "}\n", forbidden, anomalies,
         now_ns() - begin_ns);
  return forbidden + anomalies > 0 ? EXIT_CHECK : 0;
}
