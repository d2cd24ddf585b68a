/*
 * pingpong: one page bounced between two processes.
 *
 *   pingpong DS ROLE ROUNDS [--wait]
 *
 * Role 0 serves: writes an odd number and waits for the next even one; role 1 answers.  Waiting is reading the word
 * over and over (each reading of a page that has gone is a fault), or with --wait sleeping on it.  Role 0 prints
 * {"rounds","mode","round_trip_ns":{count,mean,min,p50,p90,p99,p999,max}}; a round trip is the page there and back.
 */
#include "barrier.h"

enum { BALL_AT = 0, BARRIER_AT = 4096, BYTES = 2 * 4096, TIMEOUT_MS = 60000 };

/** Until the word holds `value`; ends the program after a minute. */
static void await_value(uint32_t *ball, uint32_t value, bool sleeping) {
  uint64_t spins = 0, end_ns = 0;
  uint32_t seen;
  while ((seen = __atomic_load_n(ball, __ATOMIC_SEQ_CST)) != value) {
    if (sleeping) {
      int32_t result = odonata_wait32(ball, seen, TIMEOUT_MS * 1000000ll);
      if (result != ODONATA_EAGAIN) must(result, "wait32");
    } else if (++spins % (1 << 20) == 0) {
      uint64_t now = now_ns();
      if (end_ns == 0) end_ns = now + TIMEOUT_MS * 1000000ull;
      if (now > end_ns) die(EXIT_CALL, "the other side did not answer %u within a minute", (unsigned)value);
    }
  }
}

static void play(uint32_t *ball, uint32_t value, bool sleeping) {
  __atomic_store_n(ball, value, __ATOMIC_SEQ_CST);
  uint32_t woken;
  if (sleeping) must(odonata_wake(ball, 1, &woken), "wake");
}

int main(int argc, char **argv) {
  bool sleeping = take_option(&argc, argv, "--wait", false) != NULL;
  no_more_options(argc, argv);
  if (argc != 4) die(EXIT_USAGE, "usage: pingpong DS ROLE ROUNDS [--wait]");
  uint64_t role = number(argv[2], "ROLE"), rounds = number(argv[3], "ROUNDS");
  if (role > 1 || rounds < 1 || rounds > 1000000) die(EXIT_USAGE, "ROLE is 0 or 1, ROUNDS 1 to 1000000");
  uint64_t *round_trip_ns = malloc(rounds * sizeof *round_trip_ns);
  if (round_trip_ns == NULL) die(EXIT_CALL, "out of memory");
  memset(round_trip_ns, 0, rounds * sizeof *round_trip_ns); /* No first touch while measuring. */
  struct mapping shared = map_dataspace(argv[1], BYTES, ODONATA_READ_WRITE);
  uint32_t *ball = (uint32_t *)(shared.base + BALL_AT);
  barrier_wait((struct barrier *)(shared.base + BARRIER_AT), 2, TIMEOUT_MS);
  for (uint32_t round = 0; round < rounds; round++) {
    if (role == 0) {
      uint64_t begin_ns = now_ns();
      play(ball, round * 2 + 1, sleeping);
      await_value(ball, round * 2 + 2, sleeping);
      round_trip_ns[round] = now_ns() - begin_ns;
    } else {
      await_value(ball, round * 2 + 1, sleeping);
      play(ball, round * 2 + 2, sleeping);
    }
  }
  if (role == 1) return 0;
  printf("{\"rounds\":%" PRIu64 ",\"mode\":\"%s\",", rounds, sleeping ? "wait" : "spin");
  print_latencies("round_trip_ns", round_trip_ns, rounds);
  printf("}\n");
  return 0;
}
