/*
 * Waiting on a word of shared memory, for what stands in <pthread.h> and <semaphore.h>. All of it works on words in memory
 * that mmap or shmat gave: from whichever node, and with no more than loads and stores where nobody has to wait.
 */
#ifndef WORD_H
#define WORD_H
#include <stdbool.h>
#include <stdint.h>

struct timespec;

#define FOREVER UINT64_MAX

/** When an absolute time is over, on the monotonic clock. */
uint64_t deadline_of(int clock, const struct timespec *until);
/**
 * Sleeps while `*word` is `expected`, until it is woken, or until `deadline_ns`. 0 (look again), ETIMEDOUT; EDEADLK where
 * nobody else can reach the word, for it is in private memory.
 */
int word_wait(uint32_t *word, uint32_t expected, uint64_t deadline_ns);
void word_wake(uint32_t *word, uint32_t count);

static inline uint32_t word_load(uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static inline void word_store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }
static inline uint32_t word_add(uint32_t *word, uint32_t value) {
  return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}
static inline bool word_swap(uint32_t *word, uint32_t *expected, uint32_t value) {
  return __atomic_compare_exchange_n(word, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
#endif
