/* Children: posix_spawn and waitpid. */
#include <errno.h>
#include <fcntl.h>
#include <odonata.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "descriptors.h"
#include "errors.h"

extern char **environ;

/** The words one after the other, each with its NUL; NULL: there is no memory for it. */
static char *joined(char *const *words, size_t *length) {
  *length = 0;
  for (char *const *word = words; word != NULL && *word != NULL; word++) *length += strlen(*word) + 1;
  char *all = malloc(*length + 1);
  if (all == NULL) return NULL;
  char *at = all;
  for (char *const *word = words; word != NULL && *word != NULL; word++) at = stpcpy(at, *word) + 1;
  return all;
}

static int spawn(pid_t *pid, int fd, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                 char *const *args, char *const *env) {
  static const posix_spawnattr_t plain;
  if (how == NULL) how = &plain;
  if (actions != NULL && actions->count > 0) return ENOTSUP;
  size_t args_length, env_length;
  char *all_args = joined(args, &args_length);
  char *all_env = joined(env != NULL ? env : environ, &env_length);
  int32_t flags = 0;
  uint64_t group = 0;
  if (how->flags & POSIX_SPAWN_SETPGROUP) {
    if (how->group == 0) flags |= ODONATA_SPAWN_NEW_GROUP;
    else group = (uint64_t)how->group;
  }
  if (how->flags & POSIX_SPAWN_SPREAD_NP) flags |= ODONATA_SPAWN_SPREAD;
  struct odonata_child child;
  int error = ENOMEM;
  if (all_args != NULL && all_env != NULL)
    error = odonata_spawn((uint32_t)fd, all_args, (uint32_t)args_length, all_env, (uint32_t)env_length, NULL, 0, how->node,
                          (uint32_t)strlen(how->node), flags, group, &child);
  free(all_args);
  free(all_env);
  if (error == 0 && pid != NULL) *pid = (pid_t)child.pid;
  return error;
}

int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *restrict how, char *const *restrict args, char *const *restrict env) {
  int fd = open(path, O_RDONLY);
  if (fd < 0) return errno;
  // Of files in dataspaces the virtual kernel knows nothing.
  int error = is_shared((uint32_t)fd) ? ENOTSUP : spawn(pid, fd, actions, how, args, env);
  close(fd);
  return error;
}

int posix_spawnp(pid_t *restrict pid, const char *restrict name, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *restrict how, char *const *restrict args, char *const *restrict env) {
  if (strchr(name, '/') != NULL) return posix_spawn(pid, name, actions, how, args, env);
  const char *folders = getenv("PATH");
  if (folders == NULL) folders = "/bin:/usr/bin";
  int error = ENOENT;
  for (const char *at = folders;; at++) {
    size_t length = strcspn(at, ":");
    char path[1024];
    if (length + strlen(name) + 2 > sizeof path) return ENAMETOOLONG;
    memcpy(path, at, length);
    if (length > 0) path[length++] = '/';
    strcpy(path + length, name);
    int tried = posix_spawn(pid, path, actions, how, args, env);
    if (tried != ENOENT && tried != ENOTDIR) return tried;
    at = strchr(at, ':');
    if (at == NULL) return error;
  }
}

int posix_spawnattr_init(posix_spawnattr_t *how) {
  memset(how, 0, sizeof *how);
  return 0;
}

int posix_spawnattr_destroy(posix_spawnattr_t *how) {
  (void)how;
  return 0;
}

int posix_spawnattr_setflags(posix_spawnattr_t *how, short flags) {
  how->flags = flags;
  return 0;
}

int posix_spawnattr_getflags(const posix_spawnattr_t *restrict how, short *restrict flags) {
  *flags = (short)how->flags;
  return 0;
}

int posix_spawnattr_setpgroup(posix_spawnattr_t *how, pid_t group) {
  how->group = group;
  return 0;
}

int posix_spawnattr_getpgroup(const posix_spawnattr_t *restrict how, pid_t *restrict group) {
  *group = how->group;
  return 0;
}

/** A child holds nothing back, and begins with what is by default. */
int posix_spawnattr_setsigmask(posix_spawnattr_t *restrict how, const sigset_t *restrict set) {
  (void)how, (void)set;
  return 0;
}

int posix_spawnattr_setsigdefault(posix_spawnattr_t *restrict how, const sigset_t *restrict set) {
  (void)how, (void)set;
  return 0;
}

int posix_spawnattr_setnode_np(posix_spawnattr_t *how, const char *node) {
  if (strlen(node) >= sizeof how->node) return ENAMETOOLONG;
  strcpy(how->node, node);
  return 0;
}

pid_t waitpid(pid_t pid, int *status, int options) {
  struct odonata_child child;
  int error = odonata_wait(pid, options & WNOHANG ? ODONATA_WAIT_NO_HANG : 0, &child);
  if (error != 0) return fail(error);
  if (status != NULL && child.pid != 0) *status = child.signal != 0 ? (int)child.signal : (int)child.code << 8;
  return (pid_t)child.pid;
}

pid_t wait(int *status) { return waitpid(-1, status, 0); }

static int relatives_of(pid_t pid, struct odonata_relatives *out) {
  return fail(pid < 0 ? EINVAL : odonata_identify((uint64_t)pid, out));
}

pid_t getppid(void) {
  struct odonata_relatives own;
  return relatives_of(0, &own) < 0 ? 1 : (pid_t)own.parent;
}

pid_t getpgid(pid_t pid) {
  struct odonata_relatives its;
  return relatives_of(pid, &its) < 0 ? -1 : (pid_t)its.group;
}

pid_t getpgrp(void) { return getpgid(0); }

pid_t getsid(pid_t pid) {
  struct odonata_relatives its;
  return relatives_of(pid, &its) < 0 ? -1 : (pid_t)its.session;
}

int setpgid(pid_t pid, pid_t group) {
  if (pid < 0 || group < 0) return fail(EINVAL);
  return fail(odonata_set_group((uint64_t)pid, (uint64_t)group));
}

pid_t setsid(void) {
  int error = odonata_set_session();
  return error != 0 ? fail(error) : getpid();
}
