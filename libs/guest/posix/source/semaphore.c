/* <semaphore.h>. A named semaphore is a file of /dev/shm, "sem." before its name. */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "errors.h"
#include "semaphore-word.h"

_Static_assert(sizeof(struct semaphore) <= sizeof(sem_t), "fits");
#define NAMED_MAX 256

/** Opened twice it is the same address, and has to be closed twice. */
static struct {
  char name[200];
  sem_t *at;
  unsigned references;
} named[NAMED_MAX];

static struct semaphore *of(sem_t *semaphore) { return (struct semaphore *)semaphore; }

int sem_init(sem_t *semaphore, int shared, unsigned value) {
  (void)shared;
  if (value > SEMAPHORE_MAX) return fail(EINVAL);
  *of(semaphore) = (struct semaphore){ .value = value };
  return 0;
}

int sem_destroy(sem_t *semaphore) {
  (void)semaphore;
  return 0;
}

int sem_post(sem_t *semaphore) { return fail(semaphore_post(of(semaphore))); }
int sem_wait(sem_t *semaphore) { return fail(semaphore_wait(of(semaphore), FOREVER, false)); }
int sem_trywait(sem_t *semaphore) { return fail(semaphore_wait(of(semaphore), 0, true)); }

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  if (until->tv_nsec < 0 || until->tv_nsec >= 1000000000) return fail(EINVAL);
  return fail(semaphore_wait(of(semaphore), deadline_of(CLOCK_OF_THE_WORLD, until), false));
}

int sem_getvalue(sem_t *restrict semaphore, int *restrict value) {
  *value = (int)((volatile struct semaphore *)semaphore)->value;
  return 0;
}

static int file_name(const char *name, char *out, size_t bytes) {
  while (*name == '/') name++;
  return *name == '\0' ? EINVAL : snprintf(out, bytes, "sem.%s", name) >= (int)bytes ? ENAMETOOLONG : 0;
}

/** Maps the file. Its maker posts what it begins with: who finds it before that waits as for any other post. */
static sem_t *attach(int fd, unsigned first) {
  if (ftruncate(fd, sizeof(sem_t)) < 0) return SEM_FAILED;
  void *at = mmap(NULL, sizeof(sem_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return SEM_FAILED;
  for (; first > 0; first--) semaphore_post(at);
  return at;
}

sem_t *sem_open(const char *name, int flags, ...) {
  va_list args;
  va_start(args, flags);
  unsigned value = 0;
  if (flags & O_CREAT) {
    (void)va_arg(args, int);
    value = va_arg(args, unsigned);
  }
  va_end(args);
  char file[200];
  int error = file_name(name, file, sizeof file);
  if (error == 0 && value > SEMAPHORE_MAX) error = EINVAL;
  int spare = -1;
  for (int i = 0; i < NAMED_MAX && error == 0; i++) {
    if (named[i].references == 0) spare = i;
    else if (!(flags & O_EXCL) && __builtin_strcmp(named[i].name, file) == 0) {
      named[i].references++;
      return named[i].at;
    }
  }
  if (error == 0 && spare < 0) error = EMFILE;
  if (error != 0) {
    errno = error;
    return SEM_FAILED;
  }
  // An unlink in between begins anew.
  for (;;) {
    int fd = flags & O_CREAT ? shm_open(file, O_RDWR | O_CREAT | O_EXCL, 0600) : -1;
    bool made = fd >= 0;
    if (!made && flags & O_CREAT && (errno != EEXIST || flags & O_EXCL)) return SEM_FAILED;
    if (!made) fd = shm_open(file, O_RDWR, 0600);
    if (fd < 0 && errno == ENOENT && flags & O_CREAT) continue;
    if (fd < 0) return SEM_FAILED;
    sem_t *at = attach(fd, made ? value : 0);
    close(fd);
    if (at == SEM_FAILED) return at;
    named[spare].at = at;
    named[spare].references = 1;
    snprintf(named[spare].name, sizeof named[spare].name, "%s", file);
    return at;
  }
}

int sem_close(sem_t *semaphore) {
  for (int i = 0; i < NAMED_MAX; i++) {
    if (named[i].references == 0 || named[i].at != semaphore) continue;
    return --named[i].references > 0 ? 0 : munmap(semaphore, sizeof *semaphore);
  }
  return fail(EINVAL);
}

int sem_unlink(const char *name) {
  char file[200];
  int error = file_name(name, file, sizeof file);
  return error != 0 ? fail(error) : shm_unlink(file);
}
