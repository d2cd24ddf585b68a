// What a program does with pthreads; its first argument says what:
//   all    eight threads: mutex, barrier, condition, once, keys, thread-local variables, read-write lock, semaphore, malloc, join
//   exit, trap   in a thread       wait   for ever, in two threads       bomb   as many as it gets       many   500, one after another
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define N 8
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t b;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static _Thread_local int mine = 41;
static int turn, sum, inits, destroyed;
static void init(void) { inits++; }
static void gone(void *p) { __atomic_fetch_add(&destroyed, (int)(size_t)p, __ATOMIC_SEQ_CST); }
static void *work(void *arg) {
  int id = (int)(size_t)arg;
  pthread_once(&once, init);
  pthread_setspecific(key, (void *)1);
  mine += id;
  for (int i = 0; i < 20000; i++) { pthread_mutex_lock(&m); sum++; pthread_mutex_unlock(&m); }
  pthread_barrier_wait(&b);
  if (sum != N * 20000) abort();
  pthread_mutex_lock(&m);
  while (turn != id) pthread_cond_wait(&c, &m);
  printf("thread %d has %d\n", id, mine);
  turn++;
  pthread_cond_broadcast(&c);
  pthread_mutex_unlock(&m);
  pthread_rwlock_rdlock(&rw); pthread_rwlock_unlock(&rw);
  for (int i = 0; i < 200; i++) { char *p = malloc(1000 + 100 * i); memset(p, id, 1000 + 100 * i); free(p); }
  sem_post(&sem);
  errno = id;
  return (void *)(size_t)(errno * 10);
}
static void *spin(void *arg) { for (volatile int go = 1; go;) {} return arg; }
static void *quit(void *arg) { exit(7); }
static void *trap(void *arg) { __builtin_trap(); }
static void *rest(void *arg) { pthread_mutex_lock(&m); return arg; }
static void *leaves(void *arg) { return (void *)123; }
int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "all";
  pthread_t t[N], one;
  if (!strcmp(what, "exit")) { pthread_create(&one, 0, quit, 0); pthread_join(one, 0); return 1; }
  if (!strcmp(what, "trap")) { pthread_create(&one, 0, trap, 0); spin(0); }
  if (!strcmp(what, "wait")) { pthread_mutex_lock(&m); pthread_create(&one, 0, rest, 0); puts("waits"); fflush(stdout); pthread_join(one, 0); return 1; }
  if (!strcmp(what, "bomb")) { int n = 0, r; pthread_mutex_lock(&m); while ((r = pthread_create(&one, 0, rest, 0)) == 0) n++; printf("%d threads, then %s\n", n + 1, strerror(r)); return 0; }
  if (!strcmp(what, "many")) { for (int i = 0; i < 500; i++) { pthread_create(&one, 0, leaves, 0); void *v; pthread_join(one, &v); if (v != (void *)123) return 1; } puts("500 joined"); return 0; }
  pthread_barrier_init(&b, 0, N);
  pthread_key_create(&key, gone);
  sem_init(&sem, 0, 0);
  for (size_t i = 0; i < N; i++) if (pthread_create(&t[i], 0, work, (void *)i)) return 2;
  for (int i = 0; i < N; i++) sem_wait(&sem);
  for (size_t i = 0; i < N; i++) { void *v; pthread_join(t[i], &v); if (v != (void *)(i * 10)) return 3; }
  struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts); ts.tv_nsec += 20000000; if (ts.tv_nsec >= 1000000000) { ts.tv_nsec -= 1000000000; ts.tv_sec++; }
  pthread_mutex_lock(&m);
  int r = pthread_cond_timedwait(&c, &m, &ts);
  printf("%d in all, once %d, mine %d, destroyed %d, %s\n", sum, inits, mine, destroyed, r == ETIMEDOUT ? "timed out" : "?");
  return 0;
}
