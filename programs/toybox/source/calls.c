/*
 * Calls that programs written for Linux make a little differently, put before the C library's by the linker (--wrap): to open
 * for reading is 0 there, and files have modes. Here whoever may reach a file may read and write it, as its mount allows.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** "/" is opened as a directory, or not at all. */
static bool is_root(int fd, const char *path) {
  char here[8];
  if (fd == AT_FDCWD && strcmp(path, ".") == 0) return getcwd(here, sizeof here) != NULL && strcmp(here, "/") == 0;
  return *path == '/' && path[strspn(path, "/")] == 0;
}

static int for_linux(int fd, const char *path, int flags) {
  if ((flags & (O_RDWR | O_EXEC | O_SEARCH)) == 0) flags |= O_RDONLY;
  return is_root(fd, path) ? flags | O_DIRECTORY : flags;
}

/** Where each was found, for fchdir. */
#define KNOWN 256
static char *paths[KNOWN];

static int remembered(int opened, int fd, const char *path) {
  char here[4096] = "";
  if (opened < 0 || opened >= KNOWN) return opened;
  free(paths[opened]);
  paths[opened] = NULL;
  const char *base = here;
  if (*path != '/' && fd != AT_FDCWD) base = fd >= 0 && fd < KNOWN ? paths[fd] : NULL;
  else if (*path != '/') (void)getcwd(here, sizeof here);
  if (base == NULL) return opened;
  paths[opened] = malloc(strlen(base) + strlen(path) + 2);
  if (paths[opened] == NULL) return opened;
  if (*path == '/') strcpy(paths[opened], path);
  else if (strcmp(path, ".") == 0) strcpy(paths[opened], base);
  else sprintf(paths[opened], "%s/%s", strcmp(base, "/") == 0 ? "" : base, path);
  return opened;
}

int fchdir(int fd) {
  if (fd >= 0 && fd < KNOWN && paths[fd] != NULL) return chdir(paths[fd]);
  errno = EBADF;
  return -1;
}

#define ROOM 4096
/**
 * A grant has nothing above it, and so says of ".." at its top: from there on the way leads by names, as in the shell.
 * @returns NULL where that is not why a call failed, with errno as it was
 */
static const char *by_names(int fd, const char *path, char way[ROOM]) {
  const char *base = fd >= 0 && fd < KNOWN ? paths[fd] : NULL;
  char here[ROOM];
  if (errno != ENOTCAPABLE || *path == '/') return NULL;
  if (fd == AT_FDCWD) base = getcwd(here, sizeof here);
  errno = ENOTCAPABLE;
  char whole[ROOM], *end = way;
  if (base == NULL || strlen(base) + strlen(path) + 2 > ROOM) return NULL;
  sprintf(whole, "%s/%s", base, path);
  for (char *rest, *name = strtok_r(whole, "/", &rest); name != NULL; name = strtok_r(NULL, "/", &rest)) {
    if (strcmp(name, ".") == 0) continue;
    if (strcmp(name, "..") == 0) {
      while (end > way && *--end != '/');
      continue;
    }
    end += sprintf(end, "/%s", name);
  }
  if (end == way) *end++ = '/';
  *end = 0;
  return way;
}

int __real_open(const char *, int, ...);
int __real_openat(int, const char *, int, ...);
/** The C library's calls of no folder are those of one that is none, or the other way round: each has its own here. */
static int opened_at(int fd, const char *path, int flags) {
  flags = for_linux(fd, path, flags);
  return fd == AT_FDCWD ? __real_open(path, flags, 0666) : __real_openat(fd, path, flags, 0666);
}

int __wrap_openat(int fd, const char *path, int flags, ...) {
  char way[ROOM];
  int opened = opened_at(fd, path, flags);
  const char *other = opened < 0 ? by_names(fd, path, way) : NULL;
  if (other == NULL) return remembered(opened, fd, path);
  return remembered(opened_at(AT_FDCWD, other, flags), AT_FDCWD, other);
}

int __wrap_open(const char *path, int flags, ...) { return __wrap_openat(AT_FDCWD, path, flags); }

long __real_sysconf(int);
long __wrap_sysconf(int name) { return name == _SC_CLK_TCK ? 100 : __real_sysconf(name); }

/** Folders that only lead to mounts have no number: a walk would take each for the one above. */
static ino_t number_of(const char *path) {
  ino_t hash = 5381;
  for (; *path != 0; path++)
    if (*path != '/' && *path != '.') hash = hash * 33 + (unsigned char)*path;
  return hash;
}

static int with_mode(int result, const char *path, struct stat *about) {
  if (result < 0) return result;
  if (about->st_ino == 0 && about->st_dev == 0) about->st_ino = number_of(path);
  if (S_ISDIR(about->st_mode)) about->st_mode |= 0755;
  else if (S_ISLNK(about->st_mode)) about->st_mode |= 0777;
  else if (S_ISREG(about->st_mode)) about->st_mode |= 0644;
  else about->st_mode |= 0666;
  about->st_blksize = 4096;
  if (about->st_blocks == 0) about->st_blocks = (blkcnt_t)((about->st_size + 511) / 512);
  return result;
}

int __real_fstatat(int, const char *restrict, struct stat *restrict, int);
int __real_stat(const char *restrict, struct stat *restrict);
int __real_lstat(const char *restrict, struct stat *restrict);
static int stat_at(int fd, const char *path, struct stat *about, int flags) {
  if (fd != AT_FDCWD) return __real_fstatat(fd, path, about, flags);
  return flags & AT_SYMLINK_NOFOLLOW ? __real_lstat(path, about) : __real_stat(path, about);
}

int __wrap_fstatat(int fd, const char *restrict path, struct stat *restrict about, int flags) {
  char way[ROOM];
  int result = stat_at(fd, path, about, flags);
  const char *other = result < 0 ? by_names(fd, path, way) : NULL;
  if (other != NULL) result = stat_at(AT_FDCWD, other, about, flags);
  // Where the way is not known.
  else if (result < 0 && strcmp(path, "..") == 0) result = stat_at(fd, ".", about, flags);
  return with_mode(result, other == NULL ? path : other, about);
}
int __wrap_stat(const char *restrict path, struct stat *restrict about) { return __wrap_fstatat(AT_FDCWD, path, about, 0); }
int __wrap_lstat(const char *restrict path, struct stat *restrict about) {
  return __wrap_fstatat(AT_FDCWD, path, about, AT_SYMLINK_NOFOLLOW);
}
int __real_fstat(int, struct stat *);
int __wrap_fstat(int fd, struct stat *about) { return with_mode(__real_fstat(fd, about), "", about); }

/** What is there already says so, also where nothing may be made. */
int __real_mkdirat(int, const char *, mode_t);
int __wrap_mkdirat(int fd, const char *path, mode_t mode) {
  struct stat about;
  if (__real_mkdirat(fd, path, mode) == 0) return 0;
  int error = errno;
  errno = fstatat(fd, path, &about, 0) == 0 ? EEXIST : error;
  return -1;
}
int __real_mkdir(const char *, mode_t);
int __wrap_mkdir(const char *path, mode_t mode) {
  struct stat about;
  if (__real_mkdir(path, mode) == 0) return 0;
  int error = errno;
  errno = stat(path, &about) == 0 ? EEXIST : error;
  return -1;
}

const _Bool odonata_has_shared_files = 0;
