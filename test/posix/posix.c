/*
 * What libs/guest/posix offers, tried by several processes on one memory.
 *
 *   posix mkdir PATH | ls PATH | cat PATH | write PATH TEXT | append PATH TEXT N | rm PATH | mv FROM TO
 *   posix shm NAME mutex|rwlock|sem|odd|even N     adds N times one to a counter, under that lock; prints what it saw last
 *   posix barrier NAME COUNT ROUNDS            rounds in step with COUNT - 1 others
 *   posix hold NAME [flock|fcntl|mutex]        takes a lock and keeps it until it is killed
 *   posix robust NAME                          takes the mutex of `hold NAME mutex`, and mends it
 *   posix try PATH flock|fcntl|getlk           tries a lock of a file
 *   posix sysv KEY put VALUE | get | rm        System V's shared memory
 *   posix semv KEY add N SEGMENT | hold | take | get | rm   System V's semaphores: one is 1 at first; `hold` keeps it, with SEM_UNDO
 *   posix rules                                what one process alone can see of the rules
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct board {
  volatile unsigned ready;
  volatile unsigned counter;
  pthread_mutex_t mutex;
  pthread_rwlock_t rwlock;
  pthread_cond_t cond;
  pthread_barrier_t barrier;
  sem_t sem;
};

static void expect(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "posix: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void expect_errno(int result, int error, const char *what) {
  if (result == -1 && errno == error) return;
  fprintf(stderr, "posix: %s: %d, %s, not %s\n", what, result, strerror(errno), strerror(error));
  exit(1);
}

/** The board of that name; who makes it fills it under a lock of the file. */
static struct board *board_of(const char *name, unsigned parties) {
  int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
  expect(fd >= 0, "shm_open");
  expect(flock(fd, LOCK_EX) == 0, "flock");
  expect(ftruncate(fd, sizeof(struct board)) == 0, "ftruncate");
  struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  expect(board != MAP_FAILED, "mmap");
  if (!board->ready) {
    pthread_mutexattr_t mutex;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&board->mutex, &mutex);
    pthread_condattr_t cond;
    pthread_condattr_init(&cond);
    pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&board->cond, &cond);
    pthread_rwlockattr_t rwlock;
    pthread_rwlockattr_init(&rwlock);
    pthread_rwlockattr_setpshared(&rwlock, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&board->rwlock, &rwlock);
    pthread_barrier_init(&board->barrier, NULL, parties);
    sem_init(&board->sem, 1, 1);
    board->ready = 1;
  }
  expect(close(fd) == 0, "close");
  return board;
}

static void add(struct board *board, const char *by, long count) {
  for (long i = 0; i < count; i++) {
    if (strcmp(by, "mutex") == 0) {
      expect(pthread_mutex_lock(&board->mutex) == 0, "pthread_mutex_lock");
      board->counter++;
      expect(pthread_mutex_unlock(&board->mutex) == 0, "pthread_mutex_unlock");
    } else if (strcmp(by, "rwlock") == 0) {
      expect(pthread_rwlock_rdlock(&board->rwlock) == 0, "pthread_rwlock_rdlock");
      expect(pthread_rwlock_unlock(&board->rwlock) == 0, "pthread_rwlock_unlock");
      expect(pthread_rwlock_wrlock(&board->rwlock) == 0, "pthread_rwlock_wrlock");
      board->counter++;
      expect(pthread_rwlock_unlock(&board->rwlock) == 0, "pthread_rwlock_unlock");
    } else if (strcmp(by, "sem") == 0) {
      expect(sem_wait(&board->sem) == 0, "sem_wait");
      board->counter++;
      expect(sem_post(&board->sem) == 0, "sem_post");
    } else {
      // In turn: even ones wait for odd ones.
      expect(pthread_mutex_lock(&board->mutex) == 0, "pthread_mutex_lock");
      unsigned parity = strcmp(by, "even") == 0 ? 0 : 1;
      while (board->counter % 2 != parity) expect(pthread_cond_wait(&board->cond, &board->mutex) == 0, "cond_wait");
      board->counter++;
      pthread_cond_broadcast(&board->cond);
      expect(pthread_mutex_unlock(&board->mutex) == 0, "pthread_mutex_unlock");
    }
  }
  printf("%u\n", board->counter);
}

static void barrier(struct board *board, unsigned rounds) {
  unsigned first = 0;
  for (unsigned i = 1; i <= rounds; i++) {
    // Under a lock: beside errno clang 14 makes plain additions of atomic ones.
    expect(pthread_mutex_lock(&board->mutex) == 0, "pthread_mutex_lock");
    board->counter++;
    expect(pthread_mutex_unlock(&board->mutex) == 0, "pthread_mutex_unlock");
    int result = pthread_barrier_wait(&board->barrier);
    expect(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD, "pthread_barrier_wait");
    first += result != 0;
    if (board->counter < i * 2) expect(0, "somebody went through before all had come");
    pthread_barrier_wait(&board->barrier);
  }
  printf("%u\n", first);
}

static void hold(const char *name, const char *what) {
  int fd = -1;
  if (strcmp(what, "mutex") == 0) {
    expect(pthread_mutex_lock(&board_of(name, 2)->mutex) == 0, "pthread_mutex_lock");
  } else {
    fd = open(name, O_RDWR | O_CREAT, 0600);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 10 };
    expect(fd >= 0, "open");
    if (strcmp(what, "flock") == 0) expect(flock(fd, LOCK_EX) == 0, "flock");
    else expect(fcntl(fd, F_SETLK, &lock) == 0, "fcntl");
  }
  printf("held\n");
  fflush(stdout);
  for (;;) sleep(1000);
}

static void robust(const char *name) {
  struct board *board = board_of(name, 2);
  int error = pthread_mutex_lock(&board->mutex);
  printf("%s\n", error == EOWNERDEAD ? "EOWNERDEAD" : strerror(error));
  expect(pthread_mutex_consistent(&board->mutex) == 0, "pthread_mutex_consistent");
  expect(pthread_mutex_unlock(&board->mutex) == 0, "pthread_mutex_unlock");
  expect(pthread_mutex_lock(&board->mutex) == 0, "pthread_mutex_lock");
  expect(pthread_mutex_unlock(&board->mutex) == 0, "pthread_mutex_unlock");
}

static void try_lock(const char *path, const char *what) {
  int fd = open(path, O_RDWR);
  expect(fd >= 0, "open");
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 105, .l_len = 1 };
  int result = 0;
  if (strcmp(what, "flock") == 0) result = flock(fd, LOCK_EX | LOCK_NB);
  else result = fcntl(fd, strcmp(what, "getlk") == 0 ? F_GETLK : F_SETLK, &lock);
  printf("%s %s\n", result == 0 ? "ok" : errno == EAGAIN ? "EAGAIN" : strerror(errno), lock.l_type == F_UNLCK ? "free" : "");
}

static void sysv(key_t key, const char *what, const char *value) {
  int id = shmget(key, 8192, strcmp(what, "put") == 0 ? IPC_CREAT | 0600 : 0);
  expect(id >= 0, "shmget");
  char *at = shmat(id, NULL, 0);
  expect(at != (void *)-1, "shmat");
  struct shmid_ds about;
  expect(shmctl(id, IPC_STAT, &about) == 0 && about.shm_segsz == 8192 && about.shm_nattch >= 1, "shmctl IPC_STAT");
  if (strcmp(what, "put") == 0) strcpy(at + 5000, value);
  else printf("%s\n", at + 5000);
  expect(shmdt(at) == 0, "shmdt");
  if (strcmp(what, "rm") == 0) expect(shmctl(id, IPC_RMID, NULL) == 0, "shmctl IPC_RMID");
}

static void rules(void) {
  // Files.
  expect_errno(open("/shared/none", O_RDWR), ENOENT, "open of nothing");
  expect_errno(mkdir("/shared/a/b", 0777), ENOENT, "mkdir without a parent");
  expect(mkdir("/shared/rules", 0777) == 0, "mkdir");
  expect_errno(mkdir("/shared/rules", 0777), EEXIST, "mkdir again");
  int fd = open("/shared/rules/f", O_RDWR | O_CREAT | O_EXCL, 0600);
  expect(fd >= 0, "open O_CREAT");
  expect_errno(open("/shared/rules/f", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST, "open O_EXCL");
  expect_errno(rmdir("/shared/rules"), ENOTEMPTY, "rmdir");
  char big[3000];
  memset(big, 7, sizeof big);
  for (int i = 0; i < 1000; i++) expect(write(fd, big, sizeof big) == sizeof big, "write");
  struct stat about;
  expect(fstat(fd, &about) == 0 && about.st_size == 3000000 && S_ISREG(about.st_mode), "fstat");
  expect(stat("/shared/rules/../rules/./f", &about) == 0 && about.st_size == 3000000, "stat");
  char got[8] = "";
  expect(pread(fd, got, 8, 2999996) == 4 && got[3] == 7 && got[4] == 0, "pread at the end");
  // What is cut off does not come back.
  expect(ftruncate(fd, 10) == 0 && ftruncate(fd, 3000000) == 0, "ftruncate");
  expect(pread(fd, got, 8, 8) == 8 && got[1] == 7 && got[2] == 0, "zeros after ftruncate");
  // Memory and file are one; a private mapping is not.
  char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
  char *own = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
  expect(at != MAP_FAILED && own != MAP_FAILED, "mmap");
  at[1] = 42;
  own[1] = 43;
  expect(pread(fd, got, 1, 4097) == 1 && got[0] == 42, "mmap and pread");
  expect(pwrite(fd, "x", 1, 8192) == 1 && at[4096] == 'x' && own[4096] == 0, "pwrite and mmap");
  expect(msync(at, 8192, MS_SYNC) == 0 && fsync(fd) == 0, "msync, fsync");
  expect(mprotect(at, 4096, PROT_READ) == 0 && at[1] == 42, "mprotect PROT_READ");
  expect(mprotect(at, 4096, PROT_READ | PROT_WRITE) == 0, "mprotect PROT_WRITE");
  at[1] = 44;
  expect_errno(mprotect(at, 4096, PROT_NONE), ENOTSUP, "mprotect PROT_NONE");
  expect(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 1) == MAP_FAILED && errno == EINVAL, "mmap of an odd offset");
  // A part of a mapping ends; the rest stays.
  expect(munmap(at, 4096) == 0 && at[4096] == 'x', "munmap of a part");
  char *again = mmap(at + 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 4096);
  expect(again == at + 4096 && again[1] == 44, "mmap MAP_FIXED");
  expect(munmap(again, 4096) == 0 && munmap(own, 8192) == 0, "munmap");
  int reading = open("/shared/rules/f", O_RDONLY);
  expect(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, reading, 0) == MAP_FAILED && errno == EACCES, "mmap for writing");
  expect_errno((int)write(reading, "x", 1), EBADF, "write to what was opened for reading");
  close(reading);
  // Locks of one's own are in nobody's way, and a closed descriptor ends them.
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
  expect(fcntl(fd, F_SETLK, &lock) == 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK, "F_GETLK");
  // stdio.
  FILE *file = fopen("/shared/rules/text", "w+");
  expect(file != NULL && fprintf(file, "one\ntwo\n") == 8 && fseek(file, 4, SEEK_SET) == 0, "stdio");
  expect(fgets(got, 8, file) != NULL && strcmp(got, "two\n") == 0 && fclose(file) == 0, "fgets");
  expect(rename("/shared/rules/text", "/shared/rules/f2") == 0 && access("/shared/rules/text", F_OK) == -1, "rename");
  // A file without a name lives as long as it is open.
  expect(unlink("/shared/rules/f") == 0 && access("/shared/rules/f", F_OK) == -1, "unlink");
  expect(pread(fd, got, 1, 8192) == 1 && got[0] == 'x' && close(fd) == 0, "pread after unlink");
  expect(unlink("/shared/rules/f2") == 0 && rmdir("/shared/rules") == 0, "rmdir");
  // Semaphores by name.
  sem_t *sem = sem_open("/rules", O_CREAT | O_EXCL, 0600, 2);
  expect(sem != SEM_FAILED && sem_wait(sem) == 0 && sem_wait(sem) == 0, "sem_wait");
  expect_errno(sem_trywait(sem), EAGAIN, "sem_trywait");
  struct timespec soon;
  clock_gettime(CLOCK_REALTIME, &soon);
  soon.tv_nsec = soon.tv_nsec < 990000000 ? soon.tv_nsec + 10000000 : soon.tv_nsec;
  expect_errno(sem_timedwait(sem, &soon), ETIMEDOUT, "sem_timedwait");
  expect(sem_open("/rules", 0) == sem && sem_close(sem) == 0 && sem_close(sem) == 0, "sem_open again");
  expect(sem_unlink("/rules") == 0 && sem_open("/rules", 0) == SEM_FAILED && errno == ENOENT, "sem_unlink");
  // Mutexes of private memory.
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  expect(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_trylock(&mutex) == EBUSY, "pthread_mutex_trylock");
  expect(pthread_mutex_unlock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == EPERM, "pthread_mutex_unlock");
  pthread_t thread;
  expect(pthread_create(&thread, NULL, NULL, NULL) == EAGAIN, "pthread_create");
  printf("all hold\n");
}

static void semv(key_t key, const char *what, int n) {
  union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
  };
  struct sembuf one[] = { { 0, -1, SEM_UNDO } }, back[] = { { 0, 1, SEM_UNDO } };
  int set = semget(key, 2, IPC_CREAT | IPC_EXCL | 0600);
  if (set >= 0) {
    expect(semctl(set, 0, SETVAL, (union semun){ .val = 1 }) == 0, "SETVAL");
    struct sembuf ready = { 1, 1, 0 };
    expect(semop(set, &ready, 1) == 0, "ready");
  } else {
    expect(errno == EEXIST, "semget");
    expect((set = semget(key, 2, 0)) >= 0, "semget");
    struct sembuf ready[] = { { 1, -1, 0 }, { 1, 1, 0 } };
    expect(semop(set, ready, 2) == 0, "ready");
  }
  if (strcmp(what, "add") == 0) {
    int segment = shmget(key, 4096, IPC_CREAT | 0600);
    volatile int *count = shmat(segment, NULL, 0);
    expect(count != (void *)-1, "shmat");
    int seen = 0;
    for (; n > 0; n--) {
      expect(semop(set, one, 1) == 0, "down");
      seen = *count = *count + 1;
      expect(semop(set, back, 1) == 0, "up");
    }
    printf("%d\n", seen);
  } else if (strcmp(what, "hold") == 0) {
    expect(semop(set, one, 1) == 0, "down");
    puts("held");
    fflush(stdout);
    for (;;) sleep(1000);
  } else if (strcmp(what, "take") == 0) {
    struct timespec within = { 10, 0 };
    expect(semtimedop(set, one, 1, &within) == 0, "semtimedop");
    printf("taken, %d left\n", semctl(set, 0, GETVAL));
  } else if (strcmp(what, "get") == 0) {
    unsigned short all[2];
    struct semid_ds about;
    expect(semctl(set, 0, GETALL, all) == 0 && semctl(set, 0, IPC_STAT, &about) == 0, "GETALL");
    one->sem_op = -2;
    one->sem_flg = IPC_NOWAIT;
    expect_errno(semop(set, one, 1), EAGAIN, "IPC_NOWAIT");
    one->sem_num = 2;
    expect_errno(semop(set, one, 1), EFBIG, "EFBIG");
    expect_errno(semctl(set, 0, SETVAL, 40000), ERANGE, "ERANGE");
    expect_errno(semctl(set, 2, GETVAL), EINVAL, "EINVAL");
    printf("%d %d %lu\n", all[0], all[1], about.sem_nsems);
  } else {
    expect(semctl(set, 0, IPC_RMID) == 0, "IPC_RMID");
    expect_errno(semop(set, one, 1), EINVAL, "removed");
    expect_errno(semget(key, 0, 0), ENOENT, "removed");
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  const char *name = argc > 2 ? argv[2] : "";
  const char *third = argc > 3 ? argv[3] : "";
  if (strcmp(what, "rules") == 0) rules();
  else if (strcmp(what, "mkdir") == 0) expect(mkdir(name, 0777) == 0, name);
  else if (strcmp(what, "rm") == 0) expect(remove(name) == 0, name);
  else if (strcmp(what, "mv") == 0) expect(rename(name, third) == 0, name);
  else if (strcmp(what, "shm") == 0) add(board_of(name, 2), third, atol(argv[4]));
  else if (strcmp(what, "barrier") == 0) barrier(board_of(name, (unsigned)atoi(third)), (unsigned)atoi(argv[4]));
  else if (strcmp(what, "hold") == 0) hold(name, third);
  else if (strcmp(what, "robust") == 0) robust(name);
  else if (strcmp(what, "try") == 0) try_lock(name, third);
  else if (strcmp(what, "sysv") == 0) sysv((key_t)atoi(name), third, argc > 4 ? argv[4] : "");
  else if (strcmp(what, "semv") == 0) semv((key_t)atoi(name), third, argc > 4 ? atoi(argv[4]) : 0);
  else if (strcmp(what, "write") == 0 || strcmp(what, "append") == 0) {
    FILE *file = fopen(name, *what == 'w' ? "w" : "a");
    expect(file != NULL, name);
    for (int i = argc > 4 ? atoi(argv[4]) : 1; i > 0; i--) {
      expect(fputs(third, file) >= 0, name);
      fflush(file);
    }
    expect(fclose(file) == 0, name);
  } else if (strcmp(what, "cat") == 0) {
    FILE *file = fopen(name, "r");
    expect(file != NULL, name);
    char piece[4096];
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;) fwrite(piece, 1, got, stdout);
  } else if (strcmp(what, "ls") == 0) {
    DIR *directory = opendir(name);
    expect(directory != NULL, name);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
      if (entry->d_name[0] != '.') printf("%s\n", entry->d_name);
  } else {
    fprintf(stderr, "posix: see the head of its source\n");
    return 2;
  }
  return 0;
}
