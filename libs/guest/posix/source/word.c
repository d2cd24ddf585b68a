/* See word.h. */
#include "word.h"
#include <odonata.h>
#include <time.h>
#include "errors.h"

uint64_t deadline_of(int clock, const struct timespec *until) {
  uint64_t at = (uint64_t)until->tv_sec * 1000000000 + (uint64_t)until->tv_nsec;
  uint64_t now = now_ns(clock);
  uint64_t left = at > now ? at - now : 0;
  return now_ns(CLOCK_MONOTONIC_) + left;
}

int word_wait(uint32_t *word, uint32_t expected, uint64_t deadline_ns) {
  int64_t timeout_ns = -1;
  if (deadline_ns != FOREVER) {
    uint64_t now = now_ns(CLOCK_MONOTONIC_);
    if (now >= deadline_ns) return ETIMEDOUT_;
    timeout_ns = (int64_t)(deadline_ns - now);
  }
  int error = odonata_wait32(word, expected, timeout_ns);
  if (error == ODONATA_EINVAL) {
    // Private memory: without threads nobody changes it.
    if (deadline_ns == FOREVER) return EDEADLK_;
    struct timespec rest = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = (long)(timeout_ns % 1000000000) };
    nanosleep(&rest, NULL);
    return ETIMEDOUT_;
  }
  // Others (EAGAIN, and a directory that is away for a moment): look again.
  return error == ODONATA_ETIMEDOUT ? ETIMEDOUT_ : error == ODONATA_ENOMEM ? ENOMEM_ : 0;
}

void word_wake(uint32_t *word, uint32_t count) {
  uint32_t woken;
  (void)odonata_wake(word, count, &woken);
}
