#include "semaphore-word.h"
#include "errors.h"

int semaphore_post(struct semaphore *semaphore) {
  uint32_t before = word_load(&semaphore->value);
  do {
    if (before == SEMAPHORE_MAX) return EOVERFLOW_;
  } while (!word_swap(&semaphore->value, &before, before + 1));
  if (word_load(&semaphore->waiters) != 0) word_wake(&semaphore->value, 1);
  return 0;
}

int semaphore_wait(struct semaphore *semaphore, uint64_t deadline_ns, bool try) {
  for (;;) {
    uint32_t before = word_load(&semaphore->value);
    if (before > 0) {
      if (word_swap(&semaphore->value, &before, before - 1)) return 0;
      continue;
    }
    if (try) return EAGAIN_;
    word_add(&semaphore->waiters, 1);
    int error = word_wait(&semaphore->value, 0, deadline_ns);
    word_add(&semaphore->waiters, (uint32_t)-1);
    if (error != 0) return error;
  }
}
