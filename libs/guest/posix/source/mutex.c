/*
 * Mutexes, for processes of any nodes. As six words:
 *
 *   0 kind     type (2 bits), PSHARED, ROBUST
 *   1 word     the pid of the owner, and whether others wait
 *   2 count    of a recursive one
 *   3 state    of a robust one: consistent, its owner died, not recoverable
 *
 * A free mutex costs one compare-and-exchange. Who waits sleeps on the word. The owner of a robust mutex has a range lock
 * that ends with its life (inode.h), and with the lease of a node that is gone: who waits for long tries to take it.
 */
#include <pthread.h>
#include <odonata.h>
#include "errors.h"
#include "mapping.h"
#include "word.h"

enum { TYPE = 3, SHARED = 4, ROBUST = 8 };
enum { CONSISTENT = 0, OWNER_DIED = 1, NOT_RECOVERABLE = 2 };
#define WAITERS UINT32_C(0x80000000)
#define OWNER UINT32_C(0x7fffffff)
#define SPINS 100
/** How often who waits looks whether the owner lives. */
#define FIRST_LOOK_NS 20000000
#define LOOK_NS 1000000000

struct mutex {
  uint32_t kind;
  uint32_t word;
  uint32_t count;
  uint32_t state;
};
_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "fits");

static struct mutex *of(pthread_mutex_t *mutex) { return (struct mutex *)mutex; }
static uint32_t me(void) { return (uint32_t)odonata_process_id() & OWNER; }

int pthread_mutex_init(pthread_mutex_t *restrict mutex, const pthread_mutexattr_t *restrict attributes) {
  *of(mutex) = (struct mutex){ .kind = attributes == NULL ? 0 : attributes->__attr };
  return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex) { return (word_load(&of(mutex)->word) & OWNER) != 0 ? EBUSY_ : 0; }

/** Before a robust mutex is taken others must be able to see that its owner lives. */
static int announce(struct mutex *mutex, struct inode **inode) {
  struct mapping *mapping = mapping_of(mutex);
  *inode = mapping == NULL ? NULL : mapping->inode;
  return *inode == NULL ? 0 : inode_announce(*inode, me());
}

/** It is ours. */
static int entered(struct mutex *mutex) {
  mutex->count = 1;
  if (!(mutex->kind & ROBUST) || mutex->state == CONSISTENT) return 0;
  if (mutex->state == OWNER_DIED) return EOWNERDEAD_;
  word_store(&mutex->word, 0);
  word_wake(&mutex->word, UINT32_MAX);
  return ENOTRECOVERABLE_;
}

static int own_again(struct mutex *mutex, bool try) {
  switch (mutex->kind & TYPE) {
    case PTHREAD_MUTEX_RECURSIVE:
      if (mutex->count == UINT32_MAX) return EAGAIN_;
      mutex->count++;
      return 0;
    case PTHREAD_MUTEX_ERRORCHECK:
      return try ? EBUSY_ : EDEADLK_;
    default:
      // A normal one would wait for itself for ever.
      return try ? EBUSY_ : EDEADLK_;
  }
}

static int lock_until(struct mutex *mutex, uint64_t deadline_ns, bool try) {
  struct inode *inode = NULL;
  if (mutex->kind & ROBUST) {
    int error = announce(mutex, &inode);
    if (error != 0) return error;
  }
  uint32_t before = 0;
  if (word_swap(&mutex->word, &before, me())) return entered(mutex);
  if ((before & OWNER) == me()) return own_again(mutex, try);
  uint64_t look_ns = FIRST_LOOK_NS;
  for (int spins = 0;;) {
    before = word_load(&mutex->word);
    if ((before & OWNER) == 0) {
      // Others may wait as we did: whoever unlocks it wakes one more than need be.
      if (word_swap(&mutex->word, &before, me() | WAITERS)) return entered(mutex);
      continue;
    }
    if (try && inode == NULL) return EBUSY_;
    if (!try && spins++ < SPINS) continue;
    if (!try && !(before & WAITERS) && !word_swap(&mutex->word, &before, before | WAITERS)) continue;
    int error = ETIMEDOUT_;
    uint64_t now = now_ns(CLOCK_MONOTONIC_);
    if (!try) {
      uint64_t until = inode == NULL || deadline_ns - now < look_ns ? deadline_ns : now + look_ns;
      error = word_wait(&mutex->word, before | WAITERS, until);
      if (error != 0 && error != ETIMEDOUT_) return error;
    }
    if (error == 0) continue;
    if (inode != NULL && inode_is_dead(inode, before & OWNER)) {
      uint32_t left = word_load(&mutex->word);
      if ((left & OWNER) != (before & OWNER) || !word_swap(&mutex->word, &left, me() | WAITERS)) continue;
      if (mutex->state == CONSISTENT) mutex->state = OWNER_DIED;
      return entered(mutex);
    }
    if (try) return EBUSY_;
    if (now_ns(CLOCK_MONOTONIC_) >= deadline_ns) return ETIMEDOUT_;
    look_ns = look_ns * 2 < LOOK_NS ? look_ns * 2 : LOOK_NS;
  }
}

int pthread_mutex_lock(pthread_mutex_t *mutex) { return lock_until(of(mutex), FOREVER, false); }
int pthread_mutex_trylock(pthread_mutex_t *mutex) { return lock_until(of(mutex), FOREVER, true); }

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
  return lock_until(of(mutex), deadline_of(CLOCK_OF_THE_WORLD, until), false);
}

int pthread_mutex_unlock(pthread_mutex_t *locked) {
  struct mutex *mutex = of(locked);
  if ((word_load(&mutex->word) & OWNER) != me()) return EPERM_;
  if (--mutex->count > 0) return 0;
  bool ruined = mutex->kind & ROBUST && mutex->state == OWNER_DIED;
  if (ruined) mutex->state = NOT_RECOVERABLE;
  uint32_t before = __atomic_exchange_n(&mutex->word, 0, __ATOMIC_SEQ_CST);
  if (before & WAITERS) word_wake(&mutex->word, ruined ? UINT32_MAX : 1);
  return 0;
}

int pthread_mutex_consistent(pthread_mutex_t *locked) {
  struct mutex *mutex = of(locked);
  if (!(mutex->kind & ROBUST) || mutex->state != OWNER_DIED || (word_load(&mutex->word) & OWNER) != me())
    return EINVAL_;
  mutex->state = CONSISTENT;
  return 0;
}

int pthread_mutexattr_init(pthread_mutexattr_t *attributes) {
  attributes->__attr = 0;
  return 0;
}

int pthread_mutexattr_destroy(pthread_mutexattr_t *attributes) {
  (void)attributes;
  return 0;
}

int pthread_mutexattr_settype(pthread_mutexattr_t *attributes, int type) {
  if (type < PTHREAD_MUTEX_NORMAL || type > PTHREAD_MUTEX_ERRORCHECK) return EINVAL_;
  attributes->__attr = (attributes->__attr & ~(unsigned)TYPE) | (unsigned)type;
  return 0;
}

int pthread_mutexattr_gettype(const pthread_mutexattr_t *restrict attributes, int *restrict type) {
  *type = (int)(attributes->__attr & TYPE);
  return 0;
}

static int set_flag(pthread_mutexattr_t *attributes, unsigned flag, int on) {
  if (on != 0 && on != 1) return EINVAL_;
  attributes->__attr = on ? attributes->__attr | flag : attributes->__attr & ~flag;
  return 0;
}

int pthread_mutexattr_setpshared(pthread_mutexattr_t *attributes, int on) { return set_flag(attributes, SHARED, on); }
int pthread_mutexattr_setrobust(pthread_mutexattr_t *attributes, int on) { return set_flag(attributes, ROBUST, on); }

int pthread_mutexattr_getpshared(const pthread_mutexattr_t *restrict attributes, int *restrict on) {
  *on = (attributes->__attr & SHARED) != 0;
  return 0;
}

int pthread_mutexattr_getrobust(const pthread_mutexattr_t *restrict attributes, int *restrict on) {
  *on = (attributes->__attr & ROBUST) != 0;
  return 0;
}
