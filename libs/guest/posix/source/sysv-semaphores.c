/*
 * System V's semaphores. The set of a key is the file sysv-sem.KEY of /dev/shm. A robust mutex in it guards all of it; who
 * has to wait sleeps on a word that every change counts up.
 *
 * SEM_UNDO: what a process would undo stands in the set. It does so when it ends by itself; where it was killed, or its node
 * is gone, whoever has to wait, or asks for values, finds its byte of LOCK_AREA_ALIVE free and does it.
 */
#include <fcntl.h>
#include <odonata.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/sem.h>
#include <unistd.h>
#include "descriptors.h"
#include "errors.h"
#include "mapping.h"
#include "sysv.h"
#include "word.h"

enum { SEMAPHORES_MAX = 128, OPERATIONS_MAX = 64, UNDOERS_MAX = 64, VALUE_MAX = 32767, SETS_MAX = 64 };
/** How often who waits looks whether those live who would undo something. */
#define LOOK_NS 1000000000

struct one {
  int value;
  uint32_t pid;
  uint32_t more_waiters;
  uint32_t zero_waiters;
};

struct undoer {
  uint32_t pid;
  int adjust[SEMAPHORES_MAX];
};

struct set {
  pthread_mutex_t mutex;
  uint32_t changes;
  uint32_t waiters;
  uint32_t count;
  uint32_t removed;
  int64_t operated_s;
  int64_t changed_s;
  struct one one[SEMAPHORES_MAX];
  struct undoer undoer[UNDOERS_MAX];
};

/** The sets that this process has mapped. */
static struct {
  int number;
  struct set *set;
  struct inode *inode;
} known[SETS_MAX];

static uint32_t me(void) { return (uint32_t)odonata_process_id(); }
static int64_t now_s(void) { return (int64_t)(now_ns(CLOCK_OF_THE_WORLD) / 1000000000); }

static void forget(int i) {
  mapping_remove(known[i].set, odonata_round_up(sizeof(struct set)));
  known[i].set = NULL;
}

static int set_of(int number, struct set **set, struct inode **inode) {
  int spare = -1;
  for (int i = 0; i < SETS_MAX; i++) {
    if (known[i].set != NULL && known[i].set->removed) forget(i);
    if (known[i].set == NULL) spare = i;
    else if (known[i].number == number) {
      *set = known[i].set;
      *inode = known[i].inode;
      return 0;
    }
  }
  if (spare < 0) return ENOSPC_;
  int error = sysv_inode(number, inode);
  if (error != 0) return error;
  void *at = NULL;
  if (inode_bytes(*inode) < sizeof(struct set)) error = EINVAL_;
  if (error == 0) error = mapping_add(*inode, NULL, 0, odonata_round_up(sizeof(struct set)), true, &at);
  inode_release(*inode);
  if (error != 0) return error;
  *set = at;
  known[spare].number = number;
  known[spare].set = at;
  known[spare].inode = *inode;
  return 0;
}

static void enter(struct set *set) {
  // A process that died in between had changed what it had changed.
  if (pthread_mutex_lock(&set->mutex) == EOWNERDEAD_) pthread_mutex_consistent(&set->mutex);
}

static void changed(struct set *set) {
  word_add(&set->changes, 1);
  if (word_load(&set->waiters) != 0) word_wake(&set->changes, UINT32_MAX);
}

/** Does what one would have undone; values stay within their bounds. */
static void undo(struct set *set, struct undoer *undoer) {
  for (uint32_t i = 0; i < set->count; i++) {
    int value = set->one[i].value + undoer->adjust[i];
    if (undoer->adjust[i] == 0) continue;
    set->one[i].value = value < 0 ? 0 : value > VALUE_MAX ? VALUE_MAX : value;
    set->one[i].pid = undoer->pid;
    undoer->adjust[i] = 0;
  }
  undoer->pid = 0;
  changed(set);
}

static bool undo_dead(struct set *set, struct inode *inode) {
  bool any = false;
  for (struct undoer *each = set->undoer; each < set->undoer + UNDOERS_MAX; each++) {
    if (each->pid == 0 || each->pid == me() || !inode_is_dead(inode, each->pid)) continue;
    undo(set, each);
    any = true;
  }
  return any;
}

static struct undoer *undoer_of(struct set *set, uint32_t pid) {
  for (struct undoer *each = set->undoer; each < set->undoer + UNDOERS_MAX; each++)
    if (each->pid == pid) return each;
  return NULL;
}

static void undo_mine(void) {
  for (int i = 0; i < SETS_MAX; i++) {
    struct set *set = known[i].set;
    if (set == NULL || set->removed) continue;
    enter(set);
    struct undoer *mine = undoer_of(set, me());
    if (mine != NULL) undo(set, mine);
    pthread_mutex_unlock(&set->mutex);
  }
}

int semget(key_t key, int count, int flags) {
  if (count < 0 || count > SEMAPHORES_MAX) return fail(EINVAL_);
  int fd = sysv_open("-sem", key, flags);
  if (fd < 0) return -1;
  struct inode *inode = description_of((uint32_t)fd)->inode;
  int number = (int)inode->number, error = 0;
  struct set *set = NULL;
  flock(fd, LOCK_EX);
  if (inode_bytes(inode) == 0 && count > 0) inode_extend(inode, odonata_round_up(sizeof(struct set)));
  error = set_of(number, &set, &inode);
  if (error == 0 && set->count == 0) {
    pthread_mutexattr_t how;
    pthread_mutexattr_init(&how);
    pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&set->mutex, &how);
    set->changed_s = now_s();
    word_store(&set->count, (uint32_t)count);
  }
  if (error == 0 && (uint32_t)count > set->count) error = EINVAL_;
  flock(fd, LOCK_UN);
  close(fd);
  if (error != 0 && set == NULL) sysv_remove(number);
  return error != 0 ? fail(error) : number;
}

/** All of them, or none. EAGAIN: `*stopped` is the one that has to wait. */
static int operate(struct set *set, struct sembuf *operations, size_t count, struct sembuf **stopped) {
  int values[SEMAPHORES_MAX];
  struct undoer *mine = undoer_of(set, me());
  for (uint32_t i = 0; i < set->count; i++) values[i] = set->one[i].value;
  bool undoes = false;
  for (struct sembuf *each = operations; each < operations + count; each++) {
    if (each->sem_num >= set->count) return EFBIG_;
    int *value = &values[each->sem_num];
    *stopped = each;
    if (each->sem_op == 0 ? *value != 0 : *value + each->sem_op < 0) return EAGAIN_;
    *value += each->sem_op;
    if (*value > VALUE_MAX) return ERANGE_;
    undoes = undoes || (each->sem_flg & SEM_UNDO && each->sem_op != 0);
  }
  if (undoes && mine == NULL) mine = undoer_of(set, 0);
  if (undoes && mine == NULL) return ENOSPC_;
  for (struct sembuf *each = operations; each < operations + count; each++) {
    set->one[each->sem_num].pid = me();
    if (!(each->sem_flg & SEM_UNDO) || each->sem_op == 0) continue;
    mine->pid = me();
    mine->adjust[each->sem_num] -= each->sem_op;
  }
  for (uint32_t i = 0; i < set->count; i++) set->one[i].value = values[i];
  set->operated_s = now_s();
  changed(set);
  return 0;
}

int semtimedop(int number, struct sembuf *operations, size_t count, const struct timespec *within) {
  static bool ends;
  struct set *set;
  struct inode *inode;
  if (count == 0) return fail(EINVAL_);
  if (count > OPERATIONS_MAX) return fail(E2BIG_);
  int error = set_of(number, &set, &inode);
  if (error != 0) return fail(error);
  uint64_t deadline_ns = FOREVER;
  if (within != NULL)
    deadline_ns = now_ns(CLOCK_MONOTONIC_) + (uint64_t)within->tv_sec * 1000000000 + (uint64_t)within->tv_nsec;
  for (size_t i = 0; i < count && error == 0; i++) {
    if (!(operations[i].sem_flg & SEM_UNDO)) continue;
    error = inode_announce(inode, me());
    if (!ends) ends = atexit(undo_mine) == 0;
  }
  if (error != 0) return fail(error);
  for (uint64_t look_ns = LOOK_NS / 50;; look_ns = look_ns * 2 < LOOK_NS ? look_ns * 2 : LOOK_NS) {
    struct sembuf *stopped;
    enter(set);
    error = set->removed ? EIDRM_ : operate(set, operations, count, &stopped);
    if (error == EAGAIN_ && undo_dead(set, inode)) error = operate(set, operations, count, &stopped);
    if (error != EAGAIN_ || stopped->sem_flg & IPC_NOWAIT) break;
    uint64_t now = now_ns(CLOCK_MONOTONIC_);
    if (now >= deadline_ns) break;
    struct one *one = &set->one[stopped->sem_num];
    uint32_t *counted = stopped->sem_op == 0 ? &one->zero_waiters : &one->more_waiters;
    uint32_t changes = word_load(&set->changes);
    word_add(counted, 1);
    word_add(&set->waiters, 1);
    pthread_mutex_unlock(&set->mutex);
    (void)word_wait(&set->changes, changes, deadline_ns - now < look_ns ? deadline_ns : now + look_ns);
    word_add(&set->waiters, (uint32_t)-1);
    word_add(counted, (uint32_t)-1);
  }
  pthread_mutex_unlock(&set->mutex);
  return fail(error);
}

int semop(int number, struct sembuf *operations, size_t count) {
  return semtimedop(number, operations, count, NULL);
}

/** A value that is set is what nobody undoes. */
static void assign(struct set *set, uint32_t which, int value) {
  set->one[which].value = value;
  set->one[which].pid = me();
  for (int i = 0; i < UNDOERS_MAX; i++) set->undoer[i].adjust[which] = 0;
}

static int control(struct set *set, struct inode *inode, uint32_t which, int command, unsigned long with) {
  unsigned short *all = (unsigned short *)with;
  struct semid_ds *about = (struct semid_ds *)with;
  if (command >= GETPID && command <= SETVAL && command != GETALL && which >= set->count) return -EINVAL_;
  if (command == GETVAL || command == GETALL) undo_dead(set, inode);
  switch (command) {
    case GETVAL: return set->one[which].value;
    case GETPID: return (int)set->one[which].pid;
    case GETNCNT: return (int)set->one[which].more_waiters;
    case GETZCNT: return (int)set->one[which].zero_waiters;
    case GETALL:
      for (uint32_t i = 0; i < set->count; i++) all[i] = (unsigned short)set->one[i].value;
      return 0;
    case SETVAL:
      if ((int)with < 0 || (int)with > VALUE_MAX) return -ERANGE_;
      assign(set, which, (int)with);
      break;
    case SETALL:
      for (uint32_t i = 0; i < set->count; i++)
        if (all[i] > VALUE_MAX) return -ERANGE_;
      for (uint32_t i = 0; i < set->count; i++) assign(set, i, all[i]);
      break;
    case IPC_STAT:
      *about = (struct semid_ds){ .sem_nsems = set->count, .sem_otime = set->operated_s, .sem_ctime = set->changed_s };
      about->sem_perm.mode = inode->header->mode & 0777;
      return 0;
    case IPC_SET: return 0;
    case IPC_RMID: word_store(&set->removed, 1); break;
    default: return -EINVAL_;
  }
  set->changed_s = now_s();
  changed(set);
  return 0;
}

int odonata_semctl(int number, int which, int command, unsigned long with) {
  struct set *set;
  struct inode *inode;
  int error = set_of(number, &set, &inode);
  if (error != 0) return fail(error);
  enter(set);
  int result = set->removed ? -EIDRM_ : control(set, inode, (uint32_t)which, command, with);
  pthread_mutex_unlock(&set->mutex);
  if (command == IPC_RMID && result == 0) result = -sysv_remove(number);
  return result < 0 ? fail(-result) : result;
}

union semun {
  unsigned long with;
  void *at;
  int value;
};

int semctl(int number, int which, int command, ...) {
  unsigned long with = 0;
  if (command != IPC_RMID && (command < GETPID || command == GETALL || command >= SETVAL)) {
    va_list rest;
    va_start(rest, command);
    with = va_arg(rest, union semun).with;
    va_end(rest);
  }
  return odonata_semctl(number, which, command, with);
}
