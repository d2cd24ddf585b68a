// Threads of wasi-threads: wasi.thread-spawn starts an instance of the module, which begins in wasi_thread_start (start.c).
//
// A thread has one block of memory: what it starts with, its thread-local variables, its stack. Who joins it frees the block, or
// whoever starts the next thread where it is detached; but only when `gone` says that it is on its stack no more.
#include "linux.h"
#include "lock.h"
#include "pthread_impl.h"
#include "stdio_impl.h"
#include "thread.h"
#include <stdlib.h>
#include <string.h>

int32_t spawn(struct block *) __attribute__((import_module("wasi"), import_name("thread-spawn")));
void __wasm_init_tls(void *);
void __pthread_tsd_run_dtors(void);

_Thread_local struct __pthread __wasilibc_pthread_self;
volatile int __thread_list_lock;
static volatile int list_lock[1];
static volatile int dead_lock[1];
static struct block *dead;

void __tl_lock(void) { LOCK(list_lock); }
void __tl_unlock(void) { UNLOCK(list_lock); }
void __tl_sync(pthread_t thread) {}
void __block_app_sigs(void *set) {}
void __block_all_sigs(void *set) {}
void __restore_sigs(void *set) {}
void __acquire_ptc(void) {}
void __release_ptc(void) {}
void __inhibit_ptc(void) {}
void __vm_lock(void) {}
void __vm_unlock(void) {}
void __vm_wait(void) {}
static void dummy(void) {}
weak_alias(dummy, __pthread_tsd_run_dtors);
weak_alias(dummy, __do_orphaned_stdio_locks);

/// crt1 calls it, in the first thread. Numbers of others begin with 1, and have 29 bits.
void __wasi_init_tp(void) {
  pthread_t self = __pthread_self();
  self->self = self->next = self->prev = self;
  self->tid = 0x3fffffff;
  self->detach_state = DT_JOINABLE;
  self->locale = &libc.global_locale;
  self->robust_list.head = &self->robust_list.head;
}

static void lock_file(FILE *file) {
  if (file && file->lock < 0) file->lock = 0;
}

static void share_streams(void) {
  if (libc.threaded) return;
  for (FILE *file = *__ofl_lock(); file; file = file->next) lock_file(file);
  __ofl_unlock();
  lock_file(__stdin_used);
  lock_file(__stdout_used);
  lock_file(__stderr_used);
  libc.threaded = libc.need_locks = 1;
}

static void free_dead(void) {
  LOCK(dead_lock);
  for (struct block **at = &dead; *at;) {
    struct block *each = *at;
    if (!__atomic_load_n(&each->gone, __ATOMIC_SEQ_CST)) {
      at = &each->next;
      continue;
    }
    *at = each->next;
    free(each);
  }
  UNLOCK(dead_lock);
}

/// A copy of the thread-local variables as they are at the start of a thread; this one keeps its own.
static void *copy_tls(void *at) {
  void *own = __builtin_wasm_tls_base();
  __wasm_init_tls(at);
  __asm__("local.get %0\n.globaltype __tls_base, i32\nglobal.set __tls_base\n" ::"r"(own));
  return (char *)at + ((char *)__pthread_self() - (char *)own);
}

int __pthread_create(pthread_t *restrict result, const pthread_attr_t *restrict how, void *(*run)(void *), void *restrict argument) {
  share_streams();
  free_dead();
  size_t align = __builtin_wasm_tls_align(), size = __builtin_wasm_tls_size();
  if (align < 16) align = 16;
  size_t tsd_size = sizeof(void *) * PTHREAD_KEYS_MAX;
  size_t stack = how && how->_a_stacksize ? how->_a_stacksize : __default_stacksize;
  struct block *block = calloc(1, sizeof *block + align + size + tsd_size + stack + 32);
  if (!block) return EAGAIN;
  char *at = (char *)(((uintptr_t)(block + 1) + align - 1) & -align);
  block->tls = at;
  void **tsd = (void **)(((uintptr_t)at + size + 15) & -16);
  block->stack = (unsigned char *)(((uintptr_t)tsd + tsd_size + stack) & -16);
  block->run = run;
  block->argument = argument;
  pthread_t self = __pthread_self(), thread = copy_tls(at);
  thread->self = thread;
  thread->tsd = tsd;
  thread->map_base = (void *)block;
  thread->stack = block->stack;
  thread->stack_size = stack;
  thread->locale = &libc.global_locale;
  thread->robust_list.head = &thread->robust_list.head;
  thread->detach_state = how && how->_a_detach ? DT_DETACHED : DT_JOINABLE;
  __tl_lock();
  libc.threads_minus_1++;
  int tid = spawn(block);
  if (tid < 0) {
    libc.threads_minus_1--;
    __tl_unlock();
    free(block);
    return EAGAIN;
  }
  thread->tid = tid;
  thread->next = self->next;
  thread->prev = self;
  thread->next->prev = thread;
  thread->prev->next = thread;
  __tl_unlock();
  *result = thread;
  return 0;
}

void odonata_thread_run(int tid, struct block *block) {
  pthread_t self = __pthread_self();
  self->tid = tid;
  self->result = block->run(block->argument);
  __pthread_tsd_run_dtors();
  __tl_lock();
  self->next->prev = self->prev;
  self->prev->next = self->next;
  libc.threads_minus_1--;
  __tl_unlock();
  if (a_cas(&self->detach_state, DT_JOINABLE, DT_EXITING) != DT_DETACHED) return;
  LOCK(dead_lock);
  block->next = dead;
  dead = block;
  UNLOCK(dead_lock);
}

int __pthread_join(pthread_t thread, void **result) {
  struct block *block = (void *)thread->map_base;
  if (thread == __pthread_self()) return EDEADLK;
  if (thread->detach_state == DT_DETACHED || !block) return EINVAL;
  while (!__atomic_load_n(&block->gone, __ATOMIC_SEQ_CST)) __wait(&block->gone, 0, 0, 1);
  if (result) *result = thread->result;
  free(block);
  return 0;
}

int __pthread_detach(pthread_t thread) {
  if (a_cas(&thread->detach_state, DT_JOINABLE, DT_DETACHED) == DT_JOINABLE) return 0;
  return __pthread_join(thread, 0);
}

int pthread_attr_getdetachstate(const pthread_attr_t *how, int *state) {
  *state = how->_a_detach;
  return 0;
}

int pthread_attr_getstacksize(const pthread_attr_t *restrict how, size_t *restrict bytes) {
  *bytes = how->_a_stacksize;
  return 0;
}

/// Clocks are pointers here, and REALTIME is none (futex.c).
int pthread_condattr_setclock(pthread_condattr_t *how, clockid_t clock) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
  how->__attr = (how->__attr & 0x80000000) | (clock == CLOCK_REALTIME ? 0 : (uintptr_t)clock);
  return 0;
}

weak_alias(__pthread_create, pthread_create);
weak_alias(__pthread_join, pthread_join);
weak_alias(__pthread_detach, pthread_detach);
