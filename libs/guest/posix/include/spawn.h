/* spawn.h: programs started by programs, on this node or another one; docs/processes.md. */
#ifndef ODONATA_POSIX_SPAWN_H
#define ODONATA_POSIX_SPAWN_H
#include <sys/types.h>
#define __NEED_sigset_t
#define __NEED_pid_t
#define __NEED_mode_t
#include <bits/alltypes.h>
#ifdef __cplusplus
extern "C" {
#endif

#define POSIX_SPAWN_RESETIDS 1
#define POSIX_SPAWN_SETPGROUP 2
#define POSIX_SPAWN_SETSIGDEF 4
#define POSIX_SPAWN_SETSIGMASK 8
/** To the node where the fewest processes run for its cores. */
#define POSIX_SPAWN_SPREAD_NP 0x1000
/** To a node where neither this process nor another child of it runs. */
#define POSIX_SPAWN_APART_NP 0x2000

typedef struct {
  int flags;
  pid_t group;
  char node[64];
  char near[256];
} posix_spawnattr_t;

struct odonata_file_action;
typedef struct {
  struct odonata_file_action *actions;
  int count;
  int room;
} posix_spawn_file_actions_t;

int posix_spawn(pid_t *__restrict, const char *__restrict, const posix_spawn_file_actions_t *,
                const posix_spawnattr_t *__restrict, char *const *__restrict, char *const *__restrict);
int posix_spawnp(pid_t *__restrict, const char *__restrict, const posix_spawn_file_actions_t *,
                 const posix_spawnattr_t *__restrict, char *const *__restrict, char *const *__restrict);

int posix_spawnattr_init(posix_spawnattr_t *);
int posix_spawnattr_destroy(posix_spawnattr_t *);
int posix_spawnattr_setflags(posix_spawnattr_t *, short);
int posix_spawnattr_getflags(const posix_spawnattr_t *__restrict, short *__restrict);
int posix_spawnattr_setpgroup(posix_spawnattr_t *, pid_t);
int posix_spawnattr_getpgroup(const posix_spawnattr_t *__restrict, pid_t *__restrict);
int posix_spawnattr_setsigmask(posix_spawnattr_t *__restrict, const sigset_t *__restrict);
int posix_spawnattr_setsigdefault(posix_spawnattr_t *__restrict, const sigset_t *__restrict);
/** The node by name; empty: that of the parent. */
int posix_spawnattr_setnode_np(posix_spawnattr_t *, const char *);
/** Where no node is named: the one with the most pages of this dataspace. */
int posix_spawnattr_setnear_np(posix_spawnattr_t *, const char *);

int posix_spawn_file_actions_init(posix_spawn_file_actions_t *);
int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *);
int posix_spawn_file_actions_addclose(posix_spawn_file_actions_t *, int);
int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *, int, int);
int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *__restrict, int, const char *__restrict, int, mode_t);

#ifdef __cplusplus
}
#endif
#endif
