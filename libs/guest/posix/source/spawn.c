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
#include <wasi/api.h>
#include "descriptors.h"
#include "errors.h"
#include "pipes.h"
#include "signal-numbers.h"

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

enum { CLOSE, DUPLICATE, OPEN };

struct odonata_file_action {
  int what;
  int from;
  int to;
  int flags;
  char *path;
};

/** Descriptors that are looked at: those that a program has without asking for many. */
#define LOOKED_AT 256
#define NONE UINT32_MAX

/**
 * What a child has as which descriptor: all of this process', changed by the actions one after another; then those close that close on
 * exec. `opened` are closed afterwards.
 */
static int descriptors_for(const posix_spawn_file_actions_t *actions, uint32_t *of, int *opened, int *opened_count) {
  __wasi_fdstat_t stat;
  __wasi_prestat_t prestat;
  bool closes[LOOKED_AT];
  for (int fd = 0; fd < LOOKED_AT; fd++) {
    bool is_there = __wasi_fd_fdstat_get((__wasi_fd_t)fd, &stat) == 0;
    of[fd] = is_there && __wasi_fd_prestat_get((__wasi_fd_t)fd, &prestat) != 0 ? (uint32_t)fd : NONE;
    closes[fd] = closes_on_exec(fd);
  }
  for (int i = 0; actions != NULL && i < actions->count; i++) {
    const struct odonata_file_action *action = &actions->actions[i];
    if (action->what == CLOSE) of[action->to] = NONE;
    else if (action->what == DUPLICATE) {
      if (action->from >= LOOKED_AT || of[action->from] == NONE) return EBADF;
      of[action->to] = of[action->from];
    } else {
      int fd = open(action->path, action->flags, 0666);
      if (fd < 0) return errno;
      opened[(*opened_count)++] = fd;
      // Of files in dataspaces the virtual kernel knows nothing.
      if (is_shared((uint32_t)fd)) return ENOTSUP;
      of[action->to] = (uint32_t)fd;
    }
    closes[action->to] = false;
  }
  for (int fd = 0; fd < LOOKED_AT; fd++)
    if (closes[fd]) of[fd] = NONE;
  return 0;
}

static int spawn(pid_t *pid, int fd, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                 char *const *args, char *const *env) {
  static const posix_spawnattr_t plain;
  if (how == NULL) how = &plain;
  uint32_t of[LOOKED_AT], pairs[LOOKED_AT * 2], pair_count = 0;
  int *opened = calloc((size_t)(actions == NULL ? 1 : actions->count + 1), sizeof *opened), opened_count = 0;
  if (opened == NULL) return ENOMEM;
  int error = descriptors_for(actions, of, opened, &opened_count);
  for (uint32_t to = 0; to < LOOKED_AT; to++) {
    if (of[to] == NONE || of[to] == (uint32_t)fd) continue;
    pairs[pair_count++] = of[to];
    pairs[pair_count++] = to;
  }
  size_t args_length, env_length;
  char *all_args = joined(args, &args_length);
  char *all_env = joined(env != NULL ? env : environ, &env_length);
  int32_t flags = fd < 0 ? ODONATA_SPAWN_SELF : 0;
  uint64_t group = 0;
  if (how->flags & POSIX_SPAWN_SETPGROUP) {
    if (how->group == 0) flags |= ODONATA_SPAWN_NEW_GROUP;
    else group = (uint64_t)how->group;
  }
  const char *where = how->node;
  if (where[0] == 0) {
    if (how->flags & POSIX_SPAWN_APART_NP) flags |= ODONATA_SPAWN_APART;
    if (how->near[0] != 0) {
      where = how->near;
      flags |= ODONATA_SPAWN_NEAR;
    } else if (how->flags & POSIX_SPAWN_SPREAD_NP) flags |= ODONATA_SPAWN_SPREAD;
  }
  struct odonata_child child;
  if (error == 0 && (all_args == NULL || all_env == NULL)) error = ENOMEM;
  if (error == 0)
    error = odonata_spawn((uint32_t)fd, all_args, (uint32_t)args_length, all_env, (uint32_t)env_length, (const char *)pairs,
                          pair_count * sizeof *pairs, where, (uint32_t)strlen(where), flags, group, &child);
  for (int i = 0; i < opened_count; i++) close(opened[i]);
  free(opened);
  free(all_args);
  free(all_env);
  if (error == 0 && pid != NULL) *pid = (pid_t)child.pid;
  return error;
}

int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *restrict how, char *const *restrict args, char *const *restrict env) {
  if (strcmp(path, "/proc/self/exe") == 0) return spawn(pid, -1, actions, how, args, env);
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

int posix_spawnattr_setnear_np(posix_spawnattr_t *how, const char *dataspace) {
  if (strlen(dataspace) >= sizeof how->near) return ENAMETOOLONG;
  strcpy(how->near, dataspace);
  return 0;
}

int posix_spawnattr_setnode_np(posix_spawnattr_t *how, const char *node) {
  if (strlen(node) >= sizeof how->node) return ENAMETOOLONG;
  strcpy(how->node, node);
  return 0;
}

int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions) {
  memset(actions, 0, sizeof *actions);
  return 0;
}

int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions) {
  for (int i = 0; i < actions->count; i++) free(actions->actions[i].path);
  free(actions->actions);
  return posix_spawn_file_actions_init(actions);
}

static int add(posix_spawn_file_actions_t *actions, struct odonata_file_action action) {
  if (action.to < 0 || action.to >= LOOKED_AT) return EBADF;
  if (actions->count == actions->room) {
    int room = actions->room * 2 + 8;
    struct odonata_file_action *more = realloc(actions->actions, (size_t)room * sizeof *more);
    if (more == NULL) return ENOMEM;
    actions->actions = more;
    actions->room = room;
  }
  actions->actions[actions->count++] = action;
  return 0;
}

int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *actions, int fd) {
  return add(actions, (struct odonata_file_action){ .what = CLOSE, .to = fd });
}

int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to) {
  if (fd < 0) return EBADF;
  return add(actions, (struct odonata_file_action){ .what = DUPLICATE, .from = fd, .to = to });
}

int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *restrict actions, int fd, const char *restrict path,
                                     int flags, mode_t mode) {
  (void)mode;
  char *kept = strdup(path);
  if (kept == NULL) return ENOMEM;
  int error = add(actions, (struct odonata_file_action){ .what = OPEN, .to = fd, .flags = flags, .path = kept });
  if (error != 0) free(kept);
  return error;
}

pid_t waitpid(pid_t pid, int *status, int options) {
  struct odonata_child child;
  // The numbers are the same.
  if (options & ~(WNOHANG | WUNTRACED | WCONTINUED)) return fail(EINVAL);
  int error = odonata_wait(pid, options, &child);
  if (error != 0) return fail(error);
  if (status == NULL || child.pid == 0) return (pid_t)child.pid;
  if (child.code == ODONATA_CHILD_STOPPED) *status = from_wasi((int)child.signal) << 8 | 0x7f;
  else if (child.code == ODONATA_CHILD_CONTINUED) *status = 0xffff;
  else *status = child.signal != 0 ? from_wasi((int)child.signal) : (int)child.code << 8;
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
