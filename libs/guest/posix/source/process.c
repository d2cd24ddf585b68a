/* Who a process is: its pid of the cluster, one user. And the signals that it sends to itself. */
#include <errno.h>
#include <odonata.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "errors.h"

pid_t getpid(void) { return (pid_t)odonata_process_id(); }
int getpagesize(void) { return (int)ODONATA_PAGE; }
uid_t getuid(void) { return 0; }
uid_t geteuid(void) { return 0; }
gid_t getgid(void) { return 0; }
gid_t getegid(void) { return 0; }

/** Modes of files there are none: dataspaces have owners (vkctl ds chmod). */
mode_t umask(mode_t mask) {
  (void)mask;
  return 0;
}

int fchmod(int fd, mode_t mode) {
  (void)fd, (void)mode;
  return 0;
}

int chmod(const char *path, mode_t mode) {
  (void)mode;
  return access(path, F_OK);
}

int fchown(int fd, uid_t uid, gid_t gid) {
  (void)fd, (void)uid, (void)gid;
  return 0;
}

int kill(pid_t pid, int signal) {
  if (pid == getpid()) return signal == 0 ? 0 : raise(signal);
  return fail(odonata_kill(pid, signal));
}

int sigemptyset(sigset_t *set) {
  *set = (sigset_t){ 0 };
  return 0;
}

int sigfillset(sigset_t *set) { return sigemptyset(set); }
int sigaddset(sigset_t *set, int signal) {
  (void)set, (void)signal;
  return 0;
}
int sigdelset(sigset_t *set, int signal) {
  (void)set, (void)signal;
  return 0;
}
int sigismember(const sigset_t *set, int signal) {
  (void)set, (void)signal;
  return 0;
}

/** Signals do not come from elsewhere, so there is none to hold back. */
int sigprocmask(int how, const sigset_t *restrict set, sigset_t *restrict before) {
  (void)how, (void)set;
  if (before != NULL) sigemptyset(before);
  return 0;
}

int pthread_sigmask(int how, const sigset_t *restrict set, sigset_t *restrict before) {
  return sigprocmask(how, set, before);
}

int sigwait(const sigset_t *restrict set, int *restrict signal) {
  (void)set, (void)signal;
  return ENOTSUP;
}
