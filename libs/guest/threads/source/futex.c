// The futex of threads: memory.atomic.wait32 and memory.atomic.notify.
#include "linux.h"
#include "pthread_impl.h"
#include <limits.h>
#include <stdarg.h>

enum { wait_equal, wait_not_equal, wait_timed_out };

static int wait_for(volatile void *word, int value, int64_t ns) {
  switch (__builtin_wasm_memory_atomic_wait32((int *)word, value, ns)) {
    case wait_not_equal: return -EAGAIN;
    case wait_timed_out: return -ETIMEDOUT;
    default: return 0;
  }
}

int __wasilibc_futex_wait(volatile void *word, int op, int value, int64_t ns) { return wait_for(word, value, ns); }

long odonata_syscall(long number, ...) {
  if (number == SYS_sched_yield) return 0;
  if (number != SYS_futex) return -ENOSYS;
  va_list list;
  va_start(list, number);
  volatile void *word = va_arg(list, void *);
  int op = va_arg(list, int) & ~FUTEX_PRIVATE, value = va_arg(list, int);
  va_end(list);
  if (op == FUTEX_WAIT) return wait_for(word, value, -1);
  if (op == FUTEX_WAKE) return __builtin_wasm_memory_atomic_notify((int *)word, value < 0 ? INT_MAX : value);
  // There is no other queue to put a waiter in: it wakes, and looks for itself.
  if (op == FUTEX_REQUEUE) return __builtin_wasm_memory_atomic_notify((int *)word, 1);
  return -ENOSYS;
}

void __wait(volatile int *word, volatile int *waiters, int value, int private) {
  for (int spins = 100; spins-- && (!waiters || !*waiters);)
    if (*word != value) return;
  if (waiters) a_inc(waiters);
  while (*word == value) wait_for(word, value, -1);
  if (waiters) a_dec(waiters);
}

int __timedwait(volatile int *word, int value, clockid_t clock, const struct timespec *at, int private) {
  int64_t ns = -1;
  if (at) {
    struct timespec now;
    if (at->tv_nsec >= 1000000000UL) return EINVAL;
    if (clock_gettime(clock ? clock : CLOCK_REALTIME, &now)) return EINVAL;
    ns = (at->tv_sec - now.tv_sec) * 1000000000LL + (at->tv_nsec - now.tv_nsec);
    if (ns < 0) return ETIMEDOUT;
  }
  int result = -wait_for(word, value, ns);
  return result == ETIMEDOUT ? result : 0;
}

int __timedwait_cp(volatile int *word, int value, clockid_t clock, const struct timespec *at, int private) {
  return __timedwait(word, value, clock, at, private);
}
