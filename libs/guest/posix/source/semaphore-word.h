/* What a sem_t is; apart from <semaphore.h>'s errno, see errors.h. */
#ifndef SEMAPHORE_WORD_H
#define SEMAPHORE_WORD_H
#include "word.h"

#define SEMAPHORE_MAX UINT32_C(0x7fffffff)

struct semaphore {
  uint32_t value;
  uint32_t waiters;
};

int semaphore_post(struct semaphore *semaphore);
/** 0 or errno: EAGAIN where it only tries. */
int semaphore_wait(struct semaphore *semaphore, uint64_t deadline_ns, bool try);
#endif
