/* Calls of Linux, by what a virtual kernel has. What it has none of says ENOSYS, or that there is none. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <mntent.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int none(int error) {
  errno = error;
  return -1;
}

int settimeofday(const struct timeval *time, const void *zone) { return (void)time, (void)zone, none(EPERM); }
int inotify_init(void) { return none(ENOSYS); }
int inotify_add_watch(int fd, const char *path, uint32_t mask) { return (void)fd, (void)path, (void)mask, none(ENOSYS); }
void tzset(void) {}

/** Files have no owners and modes of their own: whose they are stands outside. */
int fchmodat(int fd, const char *path, mode_t mode, int flags) {
  return (void)mode, (void)flags, faccessat(fd, path, F_OK, 0);
}
int fchownat(int fd, const char *path, uid_t uid, gid_t gid, int flags) {
  return (void)uid, (void)gid, (void)flags, faccessat(fd, path, F_OK, 0);
}
int mknodat(int fd, const char *path, mode_t mode, dev_t device) {
  return (void)fd, (void)path, (void)mode, (void)device, none(EPERM);
}
ssize_t fgetxattr(int fd, const char *name, void *value, size_t size) {
  return (void)fd, (void)name, (void)value, (void)size, none(ENOTSUP);
}
ssize_t flistxattr(int fd, char *list, size_t size) { return (void)fd, (void)list, (void)size, none(ENOTSUP); }
int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags) {
  return (void)fd, (void)name, (void)value, (void)size, (void)flags, none(ENOTSUP);
}

/** One user: whose programs these are. */
int getpwuid_r(uid_t uid, struct passwd *out, char *text, size_t size, struct passwd **found) {
  char *name = getenv("USER"), *home = getenv("HOME");
  *found = NULL;
  if (uid != 0 || name == NULL) return 0;
  if (snprintf(text, size, "%s", name) >= (int)size) return ERANGE;
  *out = (struct passwd){ .pw_name = text, .pw_passwd = "", .pw_gecos = "", .pw_dir = home ? home : "/", .pw_shell = "/bin/sh" };
  *found = out;
  return 0;
}

int getgrgid_r(gid_t gid, struct group *out, char *text, size_t size, struct group **found) {
  static char *members[] = { NULL };
  char *name = getenv("USER");
  *found = NULL;
  if (gid != 0 || name == NULL) return 0;
  if (snprintf(text, size, "%s", name) >= (int)size) return ERANGE;
  *out = (struct group){ .gr_name = text, .gr_passwd = "", .gr_mem = members };
  *found = out;
  return 0;
}

/** A number of a file of /proc that has a name at each line's beginning, in its own unit; 0 where it is not there. */
static unsigned long long number_of(const char *path, const char *name) {
  char line[256];
  unsigned long long number = 0;
  FILE *file = fopen(path, "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, name, strlen(name)) == 0) sscanf(line + strlen(name), " %llu", &number);
  if (file != NULL) fclose(file);
  return number;
}

int sysinfo(struct sysinfo *out) {
  memset(out, 0, sizeof *out);
  out->mem_unit = 1024;
  out->totalram = number_of("/proc/meminfo", "MemTotal:");
  out->freeram = number_of("/proc/meminfo", "MemFree:");
  out->totalswap = number_of("/proc/meminfo", "SwapTotal:");
  out->freeswap = number_of("/proc/meminfo", "SwapFree:");
  out->uptime = number_of("/proc/uptime", "");
  double loads[3] = { 0 };
  FILE *file = fopen("/proc/loadavg", "r");
  if (file != NULL) {
    if (fscanf(file, "%lf %lf %lf", loads, loads + 1, loads + 2) == 3)
      for (int i = 0; i < 3; i++) out->loads[i] = (unsigned long)(loads[i] * 65536);
    fclose(file);
  }
  return 0;
}

/* Mounts: lines of /proc/mounts, which say after Linux's fields how many KiB there are, and how many are free. */
static char line[1024];
static struct mntent entry;

FILE *setmntent(const char *path, const char *mode) { return fopen(path, mode); }
int endmntent(FILE *file) { return fclose(file) == 0; }

struct mntent *getmntent(FILE *file) {
  static char words[4][256];
  do {
    if (fgets(line, sizeof line, file) == NULL) return NULL;
  } while (sscanf(line, "%255s %255s %255s %255s", words[0], words[1], words[2], words[3]) != 4);
  entry = (struct mntent){ words[0], words[1], words[2], words[3], 0, 0 };
  return &entry;
}

int statvfs(const char *path, struct statvfs *out) {
  unsigned long long total, free;
  char where[256];
  size_t best = 0;
  memset(out, 0, sizeof *out);
  out->f_bsize = out->f_frsize = 1024;
  out->f_namemax = 255;
  FILE *file = fopen("/proc/mounts", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "%*s %255s %*s %*s %*s %*s %llu %llu", where, &total, &free) != 3) continue;
    size_t length = strlen(where);
    if (length < best || strncmp(path, where, length) != 0 || (path[length] != 0 && path[length] != '/')) continue;
    best = length;
    out->f_blocks = total;
    out->f_bfree = out->f_bavail = free;
  }
  if (file != NULL) fclose(file);
  return 0;
}

int statfs(const char *path, struct statfs *out) {
  struct statvfs room;
  struct stat stat_of;
  if (stat(path, &stat_of) < 0) return -1;
  statvfs(path, &room);
  memset(out, 0, sizeof *out);
  out->f_bsize = out->f_frsize = 1024;
  out->f_blocks = room.f_blocks;
  out->f_bfree = out->f_bavail = room.f_bfree;
  out->f_namelen = 255;
  return 0;
}

/** As of toybox's lib/net.c, of which nothing else is used. */
int xpoll(struct pollfd *fds, int count, int timeout_ms) {
  for (;;) {
    int ready = poll(fds, (nfds_t)count, timeout_ms);
    if (ready >= 0 || (errno != EINTR && errno != ENOMEM)) return ready;
  }
}
