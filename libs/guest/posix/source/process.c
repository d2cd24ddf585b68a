/* Who a process is: its pid of the cluster, one user. */
#include <errno.h>
#include <odonata.h>
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
