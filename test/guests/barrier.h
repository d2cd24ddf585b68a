/*
 * A barrier for processes of the whole cluster, in shared memory: the last to arrive opens the next generation.
 *
 *   arrived     how many wait in this generation
 *   generation  counts up; who waits sleeps on this word
 *
 * All words live in one page: a barrier of n processes costs about n moves of that page.
 */
#ifndef BARRIER_H
#define BARRIER_H

#include "guest.h"

struct barrier {
  uint32_t arrived;
  uint32_t generation;
};

/** Waits for `members` processes; ends the program when they do not come within `timeout_ms`. */
__attribute__((unused)) static void barrier_wait(struct barrier *barrier, uint32_t members, uint64_t timeout_ms) {
  uint32_t generation = __atomic_load_n(&barrier->generation, __ATOMIC_SEQ_CST);
  if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_SEQ_CST) == members) {
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&barrier->generation, generation + 1, __ATOMIC_SEQ_CST);
    uint32_t woken;
    must(odonata_wake(&barrier->generation, UINT32_MAX, &woken), "wake");
    return;
  }
  uint64_t end = now_ns() + timeout_ms * 1000000u;
  while (__atomic_load_n(&barrier->generation, __ATOMIC_SEQ_CST) == generation) {
    uint64_t now = now_ns();
    int32_t result =
        now >= end ? ODONATA_ETIMEDOUT : odonata_wait32(&barrier->generation, generation, (int64_t)(end - now));
    if (result == ODONATA_ETIMEDOUT) {
      if (__atomic_load_n(&barrier->generation, __ATOMIC_SEQ_CST) != generation) return;
      die(EXIT_CALL, "barrier: %u of %u arrived in generation %u within %" PRIu64 " ms",
          (unsigned)__atomic_load_n(&barrier->arrived, __ATOMIC_SEQ_CST), (unsigned)members, (unsigned)generation,
          timeout_ms);
    }
    if (result != 0 && result != ODONATA_EAGAIN) must(result, "wait32");
  }
}

#endif
