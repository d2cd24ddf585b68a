/* Conditions, read-write locks, barriers: words on which processes wait, see word.h. */
#include <pthread.h>
#include <odonata.h>
#include "errors.h"
#include "word.h"

/** A signal changes the sequence: who looked at it before does not go to sleep. */
struct condition {
  uint32_t sequence;
  uint32_t waiters;
  uint32_t clock;
};
_Static_assert(sizeof(struct condition) <= sizeof(pthread_cond_t), "fits");

/** Readers go first: one that died while it waited to write holds up nobody. */
struct rwlock {
  /** Readers, or WRITER. */
  uint32_t word;
  uint32_t waiters;
};
_Static_assert(sizeof(struct rwlock) <= sizeof(pthread_rwlock_t), "fits");
#define WRITER UINT32_MAX

struct barrier {
  uint32_t wanted;
  uint32_t arrived;
  uint32_t generation;
};
_Static_assert(sizeof(struct barrier) <= sizeof(pthread_barrier_t), "fits");

int pthread_cond_init(pthread_cond_t *restrict cond, const pthread_condattr_t *restrict attributes) {
  *(struct condition *)cond = (struct condition){ .clock = attributes == NULL ? 0 : attributes->__attr >> 1 };
  return 0;
}

int pthread_cond_destroy(pthread_cond_t *cond) {
  (void)cond;
  return 0;
}

static int condition_wait(struct condition *condition, pthread_mutex_t *mutex, uint64_t deadline_ns) {
  uint32_t sequence = word_load(&condition->sequence);
  word_add(&condition->waiters, 1);
  int error = pthread_mutex_unlock(mutex);
  if (error == 0) error = word_wait(&condition->sequence, sequence, deadline_ns);
  word_add(&condition->waiters, (uint32_t)-1);
  if (error == EPERM_) return error;
  int locked = pthread_mutex_lock(mutex);
  return locked != 0 ? locked : error;
}

int pthread_cond_wait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex) {
  return condition_wait((struct condition *)cond, mutex, FOREVER);
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
  struct condition *condition = (struct condition *)cond;
  return condition_wait(condition, mutex, deadline_of((int)condition->clock, until));
}

static int condition_wake(struct condition *condition, uint32_t count) {
  word_add(&condition->sequence, 1);
  if (word_load(&condition->waiters) != 0) word_wake(&condition->sequence, count);
  return 0;
}

int pthread_cond_signal(pthread_cond_t *cond) { return condition_wake((struct condition *)cond, 1); }
int pthread_cond_broadcast(pthread_cond_t *cond) { return condition_wake((struct condition *)cond, UINT32_MAX); }

/** An attribute of a condition: 1 PSHARED, and above it the number of the clock. */
int pthread_condattr_init(pthread_condattr_t *attributes) {
  attributes->__attr = 0;
  return 0;
}

int pthread_condattr_destroy(pthread_condattr_t *attributes) {
  (void)attributes;
  return 0;
}

int pthread_condattr_setpshared(pthread_condattr_t *attributes, int on) {
  if (on != 0 && on != 1) return EINVAL_;
  attributes->__attr = (attributes->__attr & ~1u) | (unsigned)on;
  return 0;
}

int pthread_condattr_getpshared(const pthread_condattr_t *restrict attributes, int *restrict on) {
  *on = attributes->__attr & 1;
  return 0;
}

int pthread_condattr_setclock(pthread_condattr_t *attributes, clockid_t clock) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL_;
  unsigned number = clock == CLOCK_REALTIME ? CLOCK_OF_THE_WORLD : CLOCK_MONOTONIC_;
  attributes->__attr = (attributes->__attr & 1u) | number << 1;
  return 0;
}

int pthread_rwlock_init(pthread_rwlock_t *restrict lock, const pthread_rwlockattr_t *restrict attributes) {
  (void)attributes;
  *(struct rwlock *)lock = (struct rwlock){ 0 };
  return 0;
}

int pthread_rwlock_destroy(pthread_rwlock_t *lock) { return word_load(&((struct rwlock *)lock)->word) != 0 ? EBUSY_ : 0; }

static int rwlock_enter(pthread_rwlock_t *locked, bool write, uint64_t deadline_ns, bool try) {
  struct rwlock *lock = (struct rwlock *)locked;
  for (;;) {
    uint32_t before = word_load(&lock->word);
    bool is_free = write ? before == 0 : before < WRITER - 1;
    if (is_free) {
      if (word_swap(&lock->word, &before, write ? WRITER : before + 1)) return 0;
      continue;
    }
    if (try) return EBUSY_;
    word_add(&lock->waiters, 1);
    int error = word_wait(&lock->word, before, deadline_ns);
    word_add(&lock->waiters, (uint32_t)-1);
    if (error != 0) return error;
  }
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock) { return rwlock_enter(lock, false, FOREVER, false); }
int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock) { return rwlock_enter(lock, false, FOREVER, true); }
int pthread_rwlock_wrlock(pthread_rwlock_t *lock) { return rwlock_enter(lock, true, FOREVER, false); }
int pthread_rwlock_trywrlock(pthread_rwlock_t *lock) { return rwlock_enter(lock, true, FOREVER, true); }

int pthread_rwlock_timedrdlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict until) {
  return rwlock_enter(lock, false, deadline_of(CLOCK_OF_THE_WORLD, until), false);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict until) {
  return rwlock_enter(lock, true, deadline_of(CLOCK_OF_THE_WORLD, until), false);
}

int pthread_rwlock_unlock(pthread_rwlock_t *locked) {
  struct rwlock *lock = (struct rwlock *)locked;
  uint32_t before = word_load(&lock->word);
  do {
    if (before == 0) return EPERM_;
  } while (!word_swap(&lock->word, &before, before == WRITER ? 0 : before - 1));
  if ((before == WRITER || before == 1) && word_load(&lock->waiters) != 0) word_wake(&lock->word, UINT32_MAX);
  return 0;
}

int pthread_rwlockattr_init(pthread_rwlockattr_t *attributes) {
  *attributes = (pthread_rwlockattr_t){ 0 };
  return 0;
}

int pthread_rwlockattr_destroy(pthread_rwlockattr_t *attributes) {
  (void)attributes;
  return 0;
}

int pthread_rwlockattr_setpshared(pthread_rwlockattr_t *attributes, int on) {
  if (on != 0 && on != 1) return EINVAL_;
  attributes->__attr[0] = (unsigned)on;
  return 0;
}

int pthread_rwlockattr_getpshared(const pthread_rwlockattr_t *restrict attributes, int *restrict on) {
  *on = (int)attributes->__attr[0];
  return 0;
}

int pthread_barrier_init(pthread_barrier_t *restrict barrier, const pthread_barrierattr_t *restrict attributes,
                         unsigned count) {
  (void)attributes;
  if (count == 0) return EINVAL_;
  *(struct barrier *)barrier = (struct barrier){ .wanted = count };
  return 0;
}

int pthread_barrier_destroy(pthread_barrier_t *barrier) {
  return word_load(&((struct barrier *)barrier)->arrived) != 0 ? EBUSY_ : 0;
}

int pthread_barrier_wait(pthread_barrier_t *waited) {
  struct barrier *barrier = (struct barrier *)waited;
  uint32_t generation = word_load(&barrier->generation);
  if (word_add(&barrier->arrived, 1) + 1 == barrier->wanted) {
    word_store(&barrier->arrived, 0);
    word_add(&barrier->generation, 1);
    word_wake(&barrier->generation, UINT32_MAX);
    return PTHREAD_BARRIER_SERIAL_THREAD;
  }
  while (word_load(&barrier->generation) == generation) {
    int error = word_wait(&barrier->generation, generation, FOREVER);
    if (error != 0) return error;
  }
  return 0;
}

int pthread_barrierattr_init(pthread_barrierattr_t *attributes) {
  attributes->__attr = 0;
  return 0;
}

int pthread_barrierattr_destroy(pthread_barrierattr_t *attributes) {
  (void)attributes;
  return 0;
}

int pthread_barrierattr_setpshared(pthread_barrierattr_t *attributes, int on) {
  if (on != 0 && on != 1) return EINVAL_;
  attributes->__attr = (unsigned)on;
  return 0;
}

int pthread_barrierattr_getpshared(const pthread_barrierattr_t *restrict attributes, int *restrict on) {
  *on = (int)attributes->__attr;
  return 0;
}
