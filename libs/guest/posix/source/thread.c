/* What of <pthread.h> is about threads. There is one: who asks for another one hears EAGAIN. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "errors.h"

static char main_thread;
static struct {
  int used;
  const void *value;
} keys[PTHREAD_KEYS_MAX];

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*run)(void *),
                   void *restrict argument) {
  (void)thread, (void)attributes, (void)run, (void)argument;
  return EAGAIN;
}

int pthread_join(pthread_t thread, void **value) {
  (void)value;
  return thread == pthread_self() ? EDEADLK : ESRCH;
}

int pthread_detach(pthread_t thread) { return thread == pthread_self() ? 0 : ESRCH; }

/** The last thread ends the program. */
void pthread_exit(void *value) {
  (void)value;
  exit(0);
}

pthread_t pthread_self(void) { return (pthread_t)&main_thread; }
int pthread_equal(pthread_t one, pthread_t other) { return one == other; }

int pthread_once(pthread_once_t *once, void (*run)(void)) {
  if (*once == 0) {
    *once = 1;
    run();
  }
  return 0;
}

int pthread_key_create(pthread_key_t *key, void (*destroy)(void *)) {
  (void)destroy;
  for (unsigned i = 0; i < PTHREAD_KEYS_MAX; i++) {
    if (keys[i].used) continue;
    keys[i].used = 1;
    keys[i].value = NULL;
    *key = i;
    return 0;
  }
  return EAGAIN;
}

int pthread_key_delete(pthread_key_t key) {
  if (key >= PTHREAD_KEYS_MAX || !keys[key].used) return EINVAL;
  keys[key].used = 0;
  return 0;
}

void *pthread_getspecific(pthread_key_t key) { return key < PTHREAD_KEYS_MAX ? (void *)keys[key].value : NULL; }

int pthread_setspecific(pthread_key_t key, const void *value) {
  if (key >= PTHREAD_KEYS_MAX || !keys[key].used) return EINVAL;
  keys[key].value = value;
  return 0;
}

int pthread_attr_init(pthread_attr_t *attributes) {
  *attributes = (pthread_attr_t){ 0 };
  return 0;
}

int pthread_attr_destroy(pthread_attr_t *attributes) {
  (void)attributes;
  return 0;
}

int pthread_attr_setdetachstate(pthread_attr_t *attributes, int state) {
  (void)attributes, (void)state;
  return 0;
}

int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t bytes) {
  (void)attributes, (void)bytes;
  return 0;
}

int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
  (void)prepare, (void)parent, (void)child;
  return 0;
}

int pthread_setcancelstate(int state, int *before) {
  (void)state;
  if (before != NULL) *before = PTHREAD_CANCEL_ENABLE;
  return 0;
}
