/* sys/sem.h: System V's semaphores, cluster-wide. */
#ifndef ODONATA_POSIX_SYS_SEM_H
#define ODONATA_POSIX_SYS_SEM_H
#include <sys/ipc.h>
#include <time.h>
#ifdef __cplusplus
extern "C" {
#endif

#define SEM_UNDO 010000
#define GETPID 11
#define GETVAL 12
#define GETALL 13
#define GETNCNT 14
#define GETZCNT 15
#define SETVAL 16
#define SETALL 17

struct sembuf {
  unsigned short sem_num;
  short sem_op;
  short sem_flg;
};

struct semid_ds {
  struct ipc_perm sem_perm;
  time_t sem_otime;
  time_t sem_ctime;
  unsigned long sem_nsems;
};

int semget(key_t, int, int);
int semop(int, struct sembuf *, size_t);
int semtimedop(int, struct sembuf *, size_t, const struct timespec *);
/** The fourth is a union semun, which the program declares; some give what is in it by itself: see below. */
int semctl(int, int, int, ...);

/* Ours: `with` is what the union holds. */
int odonata_semctl(int, int, int, unsigned long with);
#ifdef __cplusplus
}
#endif

/* A union and what it holds are not passed in the same way to a WebAssembly function. */
#define ODONATA_SEMCTL static inline __attribute__((overloadable, unused)) int semctl
ODONATA_SEMCTL(int set, int which, int command, int value) {
  return odonata_semctl(set, which, command, (unsigned long)value);
}
ODONATA_SEMCTL(int set, int which, int command, void *with) {
  return odonata_semctl(set, which, command, (unsigned long)with);
}
#undef ODONATA_SEMCTL
#endif
